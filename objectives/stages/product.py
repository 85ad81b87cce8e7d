r"""Product quantization: cut weights into blocks, and let the blocks of a layer share a few.

Notation: W (C_out, n) a layer's weight, row by row; v (d,) one of its n / d blocks of a row; C
(k, d) the codebook, c one of its entries; x (B, d) the blocks of what the layer is given, over
training inputs and places. Each v is stored as the number of an entry: log2(k) bits for d weights.

What shall stay is not the weight but the layer's output,

    ||x (W - W^)||^2                                                             (Eq. 1)

so distances are measured by what inputs make of them. k-means repeats two steps,

    E: each v goes to the entry with the least ||x (c - v)||^2                   (Eq. 2)
    M: each c becomes the point with the least sum of them over its v            (Eq. 3)

With the second moments S = x^T x = R R^T of the inputs, ||x (c - v)||^2 = ||(c - v) R||^2: the
groups are those of plain k-means on v R. The M-step's minimum is the mean of the v, whatever S is.
An entry without blocks splits the one with most error. Then all entries are fine-tuned, the
gradient of each being the sum over its blocks (`objectives.training.codebook`), from labels or
from the baseline's answers (the recipe's distillation, as in the paper). The file holds codes, and
entries as float16.

The convolution that the input reaches first stays in floats, as in the paper, and is fine-tuned
with the others' entries: its blocks are few, and all that follows depends on them. A dense layer
or an embedding in its place is quantized, as it is often most of a network: 88 % of the weights of
LeNet-300-100.

Pruned weights and others share blocks, so zeros would not stay: a plan that prunes is refused.

Equations are numbered here. Source: Stock et al. 2020, arXiv:1907.05686 ("And the Bit Goes Down"),
section 3, after product quantization of weights in Gong et al. 2014, arXiv:1412.6115. We differ
from it: all layers are grouped at once, by the inputs that the float network gives them, where the
paper goes from layer to layer and tunes between; the M-step takes the mean where the paper takes
the solution of least norm, which is as good; it splits the entry with most blocks, which does
nothing where they are equal; its gradients are averaged where ours are summed, which Adam makes
the same; the first convolution is tuned, which stays as trained in the authors' code
(facebookresearch/kill-the-bits).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from models.checks import require
from models.layers import Layer, compressible_layers
from objectives.context import Context
from objectives.network.fold import CONVOLUTIONS
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.network.structure import SPLITTABLE
from objectives.network.value_graph import ValueGraph
from objectives.stages.base import TunedAsStored, Tuning
from objectives.suggests import Suggests
from objectives.training.block_groups import group_blocks
from objectives.training.codebook import (
    attach_codebook_,
    detach_codebook_,
    round_bias_,
    round_codebook_,
)
from objectives.training.layer_inputs import input_moments
from objectives.training.loop import stage_seed, tune_

MOST_BITS = 12
SEARCHED_BITS = (3, 8)
SEARCHED_BLOCKS = (2, 4, 8)

FEWEST_BLOCKS = 4
"""Blocks for an entry at least: a layer of few blocks gets a smaller codebook (section 4.1)."""


def largest_divisor(length: int, most: int) -> int:
    """Return the largest divisor of `length` that is not above `most`."""
    return next(divisor for divisor in range(min(length, most), 0, -1) if length % divisor == 0)


@dataclass(frozen=True, kw_only=True)
class ProductQuantization(TunedAsStored):
    """Let blocks of weights share the entries of a codebook."""

    stage = "product"
    version = 2
    order = 3
    loses_zeros = (
        "blocks mix pruned weights with others, and the entries that they share would not keep "
        "the zeros"
    )
    before: ClassVar[Mapping[str, Any]] = MappingProxyType({"first_convolution": True})

    bits: int = 6
    """Bits of a code: a layer has 2^bits entries, fewer if it has few blocks."""
    block: int = 8
    """d of dense layers, embeddings and 1x1 convolutions, or the next smaller divisor of a row."""
    kernel_block: int = 16
    """d of other convolutions is their kernel, or its largest divisor that is not above this."""
    first_convolution: bool = False
    """Whether the convolution that the input reaches first is quantized, too; it always is where
    no other layer is compressed."""
    calibration_images: int = 1024
    """Training images, evenly spread, that the second moments of layer inputs are taken over."""

    def __post_init__(self) -> None:
        require(1 <= self.bits <= MOST_BITS, f"1 <= bits <= {MOST_BITS}", bits=self.bits)
        for name in ("block", "kernel_block", "calibration_images"):
            value = getattr(self, name)
            require(value >= 1, f"{name} >= 1", **{name: value})
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"shared, blocks of {self.block}"

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the bits and the block that `trial` suggests."""
        return replace(
            self,
            bits=trial.suggest_int("product.bits", *SEARCHED_BITS),
            block=trial.suggest_categorical("product.block", SEARCHED_BLOCKS),
        )

    def block_of(self, weight: Tensor) -> int:
        """Return d of a layer's `weight`: it divides the length of a row."""
        kernel = weight[0, 0].numel()
        if kernel > 1:
            return largest_divisor(kernel, self.kernel_block)
        return largest_divisor(weight[0].numel(), self.block)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return weights that share blocks, and each layer's format."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = self._quantized(state, network, context)
        generator = torch.Generator().manual_seed(stage_seed(context.seed, self.stage))
        blocks = {name: self.block_of(layer.weight) for name, layer in layers.items()}
        images = context.data.training_inputs(self.calibration_images)
        taken = {
            name: values
            for name, values in context.taken(state, layers).items()
            if isinstance(layers[name].module, SPLITTABLE)
        }
        moments = input_moments(network, context.values(state), taken, images, blocks)
        formats, shared = {}, {}
        for name, layer in layers.items():
            weighting = moments.get(name, torch.eye(blocks[name]))
            formats[name] = self._group(layer.weight.detach(), weighting, generator)
            shared[name] = attach_codebook_(layer, formats[name], frozen_zero=False)
        tune_(network, context, self)
        for name, layer in layers.items():
            tuned = replace(formats[name], codebook=detach_codebook_(layer, shared[name]))
            formats[name] = replace(
                tuned, codebook=round_codebook_(layer, tuned), bias_scale=round_bias_(layer)
            )
        return replace(state, weights=copy_weights(network), formats=formats)

    def _quantized(
        self, state: NetworkState, network: nn.Module, context: Context
    ) -> dict[str, Layer]:
        """Return the layers of `network`, the network of `state`, that share blocks."""
        layers = context.layers_of(network)
        if self.first_convolution or len(layers) < 2:
            return layers
        known = compressible_layers(network)  # also those that the study leaves as they are
        first = ValueGraph(context.graph(state).graph).first_layer(known)
        if first is None or not isinstance(known[first].module, CONVOLUTIONS):
            return layers
        return {name: layer for name, layer in layers.items() if name != first}

    def _group(self, weight: Tensor, moments: Tensor, generator: torch.Generator) -> LayerFormat:
        blocks = weight.reshape(-1, len(moments))
        count = min(2**self.bits, max(2, len(blocks) // FEWEST_BLOCKS))
        codebook, codes = group_blocks(blocks, moments, count, generator)
        return LayerFormat(
            bits=self.bits, codebook=codebook, codes=codes.view(len(weight), -1).int()
        )
