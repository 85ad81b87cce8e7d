"""Group blocks of weights by what they make of inputs.

Equations are those of `objectives/stages/product.py`.
"""

import torch
from torch import Tensor

MOST_ITERATIONS = 100
"""Section 4.1 of the paper."""
SPLIT = 1e-3
"""How far the halves of a split entry are moved apart, of the blocks' standard deviation."""
COMPARED_BLOCKS = 2**16
"""Blocks whose distances are in memory at a time."""


def group_blocks(
    blocks: Tensor, moments: Tensor, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return a codebook (count, d) and the entry of each of `blocks` (n, d), by Eqs. 2 and 3.

    Args:
        blocks: At least one.
        moments: S, (d, d), symmetric, positive semidefinite.
        count: k; with fewer different blocks than that, entries are left over.
        generator: Draws the blocks to begin with, and how entries are split.
    """
    values, vectors = torch.linalg.eigh(moments.double())
    root = (vectors * values.clamp(min=0).sqrt()).float()  # R
    middle = blocks.mean(0)
    blocks = blocks - middle  # distances stay, and float32 tells them apart far from 0, too
    drawn = torch.randperm(len(blocks), generator=generator)[:count]
    codebook = blocks[drawn.repeat(-(-count // len(drawn)))[:count]]
    codes = _nearest(blocks, codebook, root)
    for _ in range(MOST_ITERATIONS):
        codebook = _means(blocks, codes, codebook)
        _fill_(codebook, codes, blocks, root, generator)
        before, codes = codes, _nearest(blocks, codebook, root)
        if torch.equal(before, codes):
            break
    return codebook + middle, codes


def _nearest(blocks: Tensor, codebook: Tensor, root: Tensor) -> Tensor:
    """Return the entry of each block, (n,): Eq. 2."""
    entries = codebook @ root
    squares = entries.square().sum(1)
    found = [  # ||c||^2 - 2 c v, which is the distance but for ||v||^2
        torch.addmm(squares, part @ root, entries.T, alpha=-2).argmin(1)
        for part in blocks.split(COMPARED_BLOCKS)
    ]
    return torch.cat(found)


def _means(blocks: Tensor, codes: Tensor, codebook: Tensor) -> Tensor:
    """Return the mean of each entry's blocks, (k, d), or the entry if it has none: Eq. 3."""
    counts = torch.bincount(codes, minlength=len(codebook))[:, None]
    sums = torch.zeros_like(codebook, dtype=torch.double).index_add_(0, codes, blocks.double())
    return torch.where(counts > 0, (sums / counts.clamp(min=1)).float(), codebook)


def _fill_(
    codebook: Tensor, codes: Tensor, blocks: Tensor, root: Tensor, generator: torch.Generator
) -> None:
    """Move each entry without blocks, in place, to the one with most error, and the two apart."""
    empty = (torch.bincount(codes, minlength=len(codebook)) == 0).nonzero().flatten()
    if len(empty) == 0:
        return
    error = ((blocks - codebook[codes]) @ root).square().sum(1)
    errors = torch.bincount(codes, weights=error, minlength=len(codebook))
    step = SPLIT * blocks.std(correction=0)
    for entry in empty.tolist():
        worst = int(errors.argmax())
        if errors[worst] == 0:
            return
        apart = step * torch.randn(codebook.shape[1], generator=generator)
        codebook[entry] = codebook[worst] + apart
        codebook[worst] -= apart
        errors[worst] /= 2
        errors[entry] = errors[worst]
