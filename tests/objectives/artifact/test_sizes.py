import gzip
import zlib

import numpy as np
import pytest
import torch
from torch import nn

from objectives.artifact.sizes import LARGE_BYTES, checkpoint_bytes, gzip_bytes


def weights(sparsity: float, count: int) -> bytes:
    """Return float32 numbers like those of a pruned layer."""
    generator = np.random.default_rng(0)
    values = generator.normal(scale=0.02, size=count).astype(np.float32)
    values[generator.random(count) < sparsity] = 0
    return values.tobytes()


def test_a_small_file_is_sized_by_zlib_without_name_and_time() -> None:
    content = weights(0.9, 20_000)
    assert gzip_bytes(b"") == 20
    assert gzip_bytes(content) == len(gzip.compress(content, 6, mtime=0))


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.9, 0.99])
def test_a_large_file_is_sized_within_2_percent_of_zlib_and_the_same_each_time(
    sparsity: float,
) -> None:
    content = weights(sparsity, LARGE_BYTES // 4 + 1)
    size = gzip_bytes(content)
    assert size == gzip_bytes(content)
    assert size == pytest.approx(len(zlib.compress(content, 6)), rel=0.02)


def test_a_checkpoint_counts_weights_and_both_of_adams_moments() -> None:
    network = nn.Linear(100, 100)
    optimizer = torch.optim.Adam(network.parameters())
    weights_alone = checkpoint_bytes(network, optimizer)
    network(torch.randn(8, 100)).square().sum().backward()
    optimizer.step()
    assert weights_alone == pytest.approx(4 * 10_100 * 0.93, rel=0.05)
    assert 2.5 < checkpoint_bytes(network, optimizer) / weights_alone < 3.1
