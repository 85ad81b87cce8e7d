"""A network between two stages, as plain tensors."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

TENSORS = (
    "weight_scale",
    "weight_zero_point",
    "input_scale",
    "codebook",
    "codes",
    "bias_scale",
)
"""The fields of a layer's format that are tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFormat:
    """How the artifact stores one layer; a layer without one is stored as float32.

    16 bits without scales are float16. With scales they are integers, as fewer bits are: the
    weight has a scale and an integer for 0 per output channel. Or the weight is shared: its blocks
    of d numbers are k different ones, named by codes.
    """

    bits: int
    weight_scale: Tensor | None = None
    """Step size per output channel, (C_out,), positive, float32."""
    weight_zero_point: Tensor | None = None
    """The integer that stands for a weight of 0, (C_out,), int8; 0 where weights are symmetric."""
    input_scale: Tensor | None = None
    """Step size of what the layer multiplies, (), positive, float32; None where that is floats."""
    codebook: Tensor | None = None
    """The k different blocks of a weight, (k, d), float32; d = 1 shares single numbers."""
    codes: Tensor | None = None
    """Which one each block is, (C_out, blocks of a row), int32 in [0, k)."""
    bias_scale: Tensor | None = None
    """Step size of a bias that is stored as int8, (), positive, float32."""

    def bits_per_weight(self, *, has_zeros: bool) -> float:
        """Return what a weight takes, codebook not counted: log2 k / d where weights are shared.

        Args:
            has_zeros: Whether the layer is pruned: 0 is a third value of a binary one, log2 3.
        """
        if self.codebook is None:
            return math.log2(3) if self.bits == 1 and has_zeros else self.bits
        entries, block = self.codebook.shape
        return math.log2(entries) / block


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationFormat:
    """How a value between layers is rounded to integers."""

    scale: Tensor
    """Step size, (), positive, float32."""
    zero_point: Tensor
    """The integer that stands for 0, (), uint8, or 0 of a signed type."""
    bits: int = 8
    """Width of the integers."""

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest integer that a value can be."""
        if self.zero_point.dtype == torch.uint8:
            return 0, 255
        return -(1 << self.bits - 1), (1 << self.bits - 1) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """What one stage hands to the next: nothing in it is changed in place.

    Weights are float32 and lie exactly on the grid that their layer's format stores.
    """

    weights: dict[str, Tensor]
    """The network's state dict."""
    masks: dict[str, Tensor] = field(default_factory=dict)
    """Keep-mask per pruned layer: bool, shaped like the layer's weight, True = keep."""
    formats: dict[str, LayerFormat] = field(default_factory=dict)
    """Format per layer that is not stored as float32."""
    activations: dict[str, ActivationFormat] = field(default_factory=dict)
    """Format per value that is rounded to integers, as the network's exported graph calls it."""
    folded: bool = False
    """Whether batch norms were folded into the layers before them (`objectives.network.fold`)."""
    checkpoint_bytes: int | None = None
    """Of a baseline: size after gzip of its training checkpoint (`objectives.artifact.sizes`)."""

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything as one flat dictionary; `from_tensors` undoes it."""
        tensors = {f"weights/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"masks/{layer}": mask for layer, mask in self.masks.items()}
        for layer, stored in self.formats.items():
            tensors[f"formats/{layer}/bits"] = torch.tensor(stored.bits)
            for name in TENSORS:
                value = getattr(stored, name)
                if value is not None:
                    is_shared = name == "input_scale"  # with a value, and with other layers
                    tensors[f"formats/{layer}/{name}"] = value.clone() if is_shared else value
        for value, rounded in self.activations.items():
            tensors[f"activations/{value}/bits"] = torch.tensor(rounded.bits)
            tensors[f"activations/{value}/scale"] = rounded.scale.clone()
            tensors[f"activations/{value}/zero_point"] = rounded.zero_point.clone()
        tensors["facts/folded"] = torch.tensor(int(self.folded))
        if self.checkpoint_bytes is not None:
            tensors["facts/checkpoint_bytes"] = torch.tensor(self.checkpoint_bytes)
        return tensors

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "NetworkState":
        """Return the state that `to_tensors` made `tensors` of."""
        groups: dict[str, dict[str, Tensor]]
        groups = {"weights": {}, "masks": {}, "formats": {}, "activations": {}, "facts": {}}
        for path, tensor in tensors.items():
            group, name = path.split("/", 1)
            groups[group][name] = tensor
        formats = {
            layer: LayerFormat(
                bits=int(values["bits"]), **{name: values.get(name) for name in TENSORS}
            )
            for layer, values in _fields(groups["formats"]).items()
        }
        activations = {
            value: ActivationFormat(
                bits=int(each["bits"]), scale=each["scale"], zero_point=each["zero_point"]
            )
            for value, each in _fields(groups["activations"]).items()
        }
        facts = {name: int(value) for name, value in groups["facts"].items()}
        return cls(
            weights=groups["weights"],
            masks=groups["masks"],
            formats=formats,
            activations=activations,
            folded=bool(facts["folded"]),
            checkpoint_bytes=facts.get("checkpoint_bytes"),
        )


def _fields(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of each format by the names of its fields."""
    fields: dict[str, dict[str, Tensor]] = {}
    for path, tensor in tensors.items():
        owner, name = path.rsplit("/", 1)
        fields.setdefault(owner, {})[name] = tensor
    return fields


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of `network` as contiguous copies on the CPU, without -0.0.

    A negative weight that a mask multiplies is -0.0, whose sign would cost the file a bit.
    """
    copies = {}
    for name, tensor in network.state_dict().items():
        values = tensor.detach().cpu()
        values = values + 0 if values.is_floating_point() else values
        copies[name] = values.clone(memory_format=torch.contiguous_format)
    return copies
