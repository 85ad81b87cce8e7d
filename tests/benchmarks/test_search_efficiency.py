"""What the benchmark of samplers makes of their curves."""

import math

import pytest

from benchmarks.search_efficiency import SHOWN, Curve, _csv, _table, paired_t


def test_t_of_differences_by_hand() -> None:
    assert paired_t([3.0, 5.0], [1.0, 1.0]) == pytest.approx(3 / (2**0.5 / 2**0.5))
    assert math.isnan(paired_t([1.0], [0.0]))
    assert math.isnan(paired_t([1.0, 1.0], [0.0, 0.0]))


def test_curves_are_kept_unrounded_and_told_beside_random_sampling() -> None:
    def curve(best: float) -> Curve:
        return Curve([best] * SHOWN[-1], [1.0] * SHOWN[-1], [float(i) for i in range(SHOWN[-1])])

    curves = {"TPE for U": [curve(0.9), curve(0.8)], "random": [curve(0.5), curve(0.6)]}
    lines = _csv(curves).splitlines()
    assert len(lines) == 1 + 4 * SHOWN[-1]
    assert lines[1] == "TPE for U,0,1,0,0.9,1.0"
    assert "| 0.8500 ± 0.0707 (t +3.00)" in _table(curves)
    assert "| 0.5500 ± 0.0707 " in _table(curves)
