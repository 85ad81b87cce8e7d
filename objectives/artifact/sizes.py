"""How bytes are counted: always after gzip.

Up to 16 MiB zlib itself compresses; above, zlib-ng, which takes half the time. On AlexNet's 233 MB
of float32 weights, one thread: zlib 7.3 s and 216,044,008 bytes, zlib-ng 3.6 s and 215,834,839; at
90 % sparsity 2.0 s and 30,123,313, 1.1 s and 30,179,574. On a small sparse file the two differ by
up to 4 %, so the limit is far above small files and far below AlexNet's.
"""

import zlib
from collections.abc import Iterable

import torch
from torch import nn
from zlib_ng import zlib_ng

from objectives.network.state import copy_weights

GZIP_LEVEL = 6
"""The paper's 32-bit sizes are those of this level within 2 %."""

LARGE_BYTES = 16 * 2**20
GZIP_FORMAT = 31
"""`wbits` of zlib for a gzip header without time or name."""


def gzip_bytes(content: bytes) -> int:
    """Return the size of `content` after gzip, in bytes: level 6, no time, no file name."""
    return _streamed_bytes([memoryview(content)], large=len(content) > LARGE_BYTES)


def checkpoint_bytes(network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Return the size after gzip of what resumes a training: weights and the optimizer's state.

    With Adam that is three numbers a weight, with momentum two. The paper's AlexNet baseline is
    evidently such a file: 11.25 bytes a parameter. Counted are the tensors, one after the other,
    without names.
    """
    tensors = list(copy_weights(network).values())
    for values in optimizer.state_dict()["state"].values():
        tensors += [value for value in values.values() if isinstance(value, torch.Tensor)]
    total = sum(tensor.nbytes for tensor in tensors)
    raw = (
        tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
        for tensor in tensors
    )
    return _streamed_bytes(raw, large=total > LARGE_BYTES)


def _streamed_bytes(parts: Iterable[memoryview], *, large: bool) -> int:
    library = zlib_ng if large else zlib
    compressor = library.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_FORMAT)
    size = sum(len(compressor.compress(part)) for part in parts)
    return size + len(compressor.flush())
