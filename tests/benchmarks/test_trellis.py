from itertools import product

import numpy as np

from benchmarks.trellis import MOST, NEXT, dependent


def test_the_path_of_two_quantizers_is_the_cheapest_of_all() -> None:
    random = np.random.default_rng(0)
    x, price = 2 * random.normal(size=5), 0.3
    bits = random.uniform(1, 4, (2, 2 * MOST + 1))

    def cost(integers: tuple[int, ...]) -> float:
        state, total = 0, 0.0
        for value, integer in zip(x, integers, strict=True):
            odd = state // 2
            total += (value - 2 * integer + np.sign(integer) * odd) ** 2
            total += price * bits[odd, integer + MOST]
            state = NEXT[state, integer % 2]
        return total

    found, quantizers = dependent(x, price, bits)
    signs = np.sign(x).astype(int)
    paths = product(*(range(0, 5 * sign, sign) for sign in signs))
    assert cost(tuple(found)) <= min(map(cost, paths)) + 1e-9
    assert quantizers[0] == 0
