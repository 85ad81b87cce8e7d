"""How bytes are counted: always after gzip."""

import gzip

import torch
from safetensors.torch import save
from torch import nn

from objectives.state import copy_weights

GZIP_LEVEL = 6
"""The paper's 32-bit sizes are those of this level within 2 %."""


def gzip_bytes(content: bytes) -> int:
    """Return the size of `content` after gzip, in bytes: level 6, no time, no file name."""
    return len(gzip.compress(content, GZIP_LEVEL, mtime=0))


def checkpoint_bytes(network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Return the size after gzip of what resumes a training: weights and the optimizer's state.

    With Adam that is three numbers a weight. The paper's AlexNet baseline is evidently such a
    file: 11.25 bytes a parameter.
    """
    tensors = copy_weights(network)
    for index, values in enumerate(optimizer.state_dict()["state"].values()):
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer/{index}/{name}"] = value.detach().cpu().contiguous()
    return gzip_bytes(save(tensors))
