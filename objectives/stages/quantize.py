"""Quantize: choose what each weight is stored as, and fine-tune on that grid.

32 bits change nothing. 16 bits round each weight to float16; a layer with a number beyond what
that holds, 65,504, stays as it is. 8 bits are full-integer: weights int8, what is computed between
layers uint8, asymmetric, its ranges read off training images and followed while it trains
(`objectives.training.activations`); biases int32 at the product of the two scales. Where integers
would make the file slower, weights alone become integers (`objectives.network.integers`). Fewer
bits are the same on a coarser grid. Then the network is fine-tuned while quantized, with the
pruning masks kept and the weights' scales learned (quantization-aware training); with 0 epochs of
it this is post-training quantization.

Source: Jacob et al. 2018, arXiv:1712.05877, sections 2 and 3; formulas in
`objectives/training/fake_quantize.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, get_args

from torch import Tensor, nn

from models.checks import require
from models.layers import Layer
from objectives.context import Context
from objectives.network.integers import IntegerPlan
from objectives.network.state import LayerFormat, NetworkState, copy_weights
from objectives.stages.base import Stage, Tuning
from objectives.suggests import Suggests
from objectives.training.activations import GroupQuantizer, RangesFollow, attach_groups_
from objectives.training.fake_quantize import LARGEST_BIAS, WeightGrid, fit_grid
from objectives.training.loop import require_training, tune_
from objectives.training.masks import MaskKeeper
from objectives.training.quantizers import attach_weight_, detach_weight_
from objectives.training.value_ranges import RANGE_RULES, RangeRule, value_ranges

PRECISIONS = (32, 16, 8, 6, 5, 4, 3, 2)

PAPER_PRECISIONS = (32, 16, 8)

IntegerRule = Literal["fast", "everywhere"]
INTEGER_RULES: tuple[IntegerRule, ...] = get_args(IntegerRule)


@dataclass(frozen=True, kw_only=True)
class Quantization(Stage):
    """Store weights with fewer bits."""

    stage = "quantize"
    version = 5
    kind = "representation"
    order = 0
    of_the_paper = True
    puts_on_integers = True
    before: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"input_range": "extremes", "integers": "everywhere"}
    )

    bits: int = 32
    """Storage width of a weight: 32, 16, 8, 6, 5, 4, 3 or 2."""
    layers: Mapping[str, int] = field(default_factory=dict)
    """Bits of layers by name; the others get `bits`."""
    symmetric: bool = True
    """Whether a weight of 0 is the integer 0, so that the grid reaches as far down as up."""
    per_channel: bool = True
    """Whether each output channel has its own scale."""
    qat_epochs: int
    """Passes over the training part while quantized to integers; 0 only rounds."""
    batch_size: int
    """Images in a step."""
    lr: float
    """Adam's learning rate."""
    calibration_images: int = 1024
    """Training images, evenly spread, that the ranges between layers are read off."""
    input_range: RangeRule = "percentile"
    """How; see `objectives.training.value_ranges`."""
    integers: IntegerRule = "fast"
    """Whether to compute on integers only where the file gets faster by it, or everywhere."""

    def __post_init__(self) -> None:
        require(self.bits in PRECISIONS, f"bits in {PRECISIONS}", bits=self.bits)
        for layer, bits in self.layers.items():
            require(bits in PRECISIONS, f"bits of {layer} in {PRECISIONS}", bits=bits)
        require(self.qat_epochs >= 0, "qat_epochs >= 0", qat_epochs=self.qat_epochs)
        require_training(self)
        require(
            self.calibration_images >= 1,
            "calibration_images >= 1",
            calibration_images=self.calibration_images,
        )
        require(
            self.input_range in RANGE_RULES,
            f"input_range in {RANGE_RULES}",
            input_range=self.input_range,
        )
        require(
            self.integers in INTEGER_RULES,
            f"integers in {INTEGER_RULES}",
            integers=self.integers,
        )

    @property
    def is_neutral(self) -> bool:
        """Weights are float32 before, so 32 bits change nothing."""
        return min(self.bits, *self.layers.values(), 32) == 32

    @property
    def described(self) -> str:
        """The method in a few words."""
        if self.is_neutral or self.bits == 16:
            return ""
        symmetry = "symmetric" if self.symmetric else "asymmetric"
        return f"{symmetry}, per {'channel' if self.per_channel else 'tensor'}"

    @property
    def told(self) -> str:
        """What was done, in a few words; signed integers per channel go without saying."""
        bits = "bits of each layer" if self.layers else f"{self.bits} bits"
        rare = {"asymmetric": not self.symmetric, "per tensor": not self.per_channel}
        words = [word for word, holds in rare.items() if holds and self.bits < 16]
        return ", ".join([bits, *words])

    @property
    def epochs(self) -> int:
        """Only integers are trained: float16 rounds away less than training noise."""
        return self.qat_epochs if min(self.bits, *self.layers.values(), 32) < 16 else 0

    def bits_of(self, layer: str) -> int:
        """Return the storage width of a weight of `layer`."""
        return self.layers.get(layer, self.bits)

    def mean_bits(self, kept: Mapping[str, float]) -> float:
        """Return the storage width of a mean remaining weight.

        Args:
            kept: Weights of each layer that are not zero, by name.
        """
        if not self.layers:
            return self.bits
        return sum(count * self.bits_of(layer) for layer, count in kept.items()) / sum(
            kept.values()
        )

    @classmethod
    def start(cls, tuning: Tuning) -> Self:
        """Return the settings that a search begins with."""
        return cls(
            qat_epochs=tuning.qat_epochs,
            batch_size=tuning.batch_size,
            lr=tuning.lr,
            integers="everywhere" if tuning.all_on_integers else "fast",
        )

    def suggest(self, trial: Suggests, choices: Sequence[int]) -> Self:
        """Return these settings with the precision that `trial` suggests."""
        return replace(self, bits=trial.suggest_categorical("precision", choices))

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return settings of a wide space: any precision, symmetric or not, per channel or not."""
        precisions = tuple(bits for bits in PRECISIONS if bits not in tuning.lacks_bits)
        symmetries = (True,) if tuning.all_on_integers else (True, False)
        return replace(
            self,
            bits=trial.suggest_categorical("precision", precisions),
            symmetric=trial.suggest_categorical("quantize.symmetric", symmetries),
            per_channel=trial.suggest_categorical("quantize.per_channel", (True, False)),
        )

    def grid(self, layer: str) -> WeightGrid:
        """Return the numbers that a weight of `layer` may be, for integers."""
        return WeightGrid(self.bits_of(layer), self.symmetric, self.per_channel)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights rounded to what the file will hold, and each layer's format."""
        return self.apply_until(None, state, context)

    def apply_until(
        self, stop_at: float | None, state: NetworkState, context: Context
    ) -> NetworkState:
        """Do as `apply`, but train no further epoch once the network is worth `stop_at`."""
        state = context.fold(state)
        network = context.network_of(state)
        layers = context.layers_of(network)
        integers = {name: layer for name, layer in layers.items() if self.bits_of(name) < 16}
        plan = context.integers(state, integers, everywhere=self.integers == "everywhere")
        groups = self._groups(plan, state, network, context)
        of_layer = {name: groups[place] for name, place in plan.layers.items()}
        formats = {
            name: self._format(layer, self.grid(name), of_layer.get(name))
            for name, layer in integers.items()
        }
        attach_groups_(network, context.values(state), groups)
        quantizers = {
            name: attach_weight_(layers[name], stored, self.grid(name))
            for name, stored in formats.items()
        }
        weights = {name: layer.weight for name, layer in layers.items()}
        tune_(
            network,
            context,
            self,
            callbacks=[MaskKeeper(weights, state.masks), RangesFollow(groups)],
            stop_at=stop_at,
        )
        formats = {
            name: detach_weight_(
                layers[name],
                formats[name],
                quantizer,
                of_layer[name].format.scale if name in of_layer else None,
            )
            for name, quantizer in quantizers.items()
        }
        for name, layer in layers.items():
            if self.bits_of(name) == 16 and _fits_float16(layer):
                _to_float16_(layer)
                formats[name] = LayerFormat(bits=16)
        activations = {name: group.format for group in groups for name in group.names}
        return replace(
            state, weights=copy_weights(network), formats=formats, activations=activations
        )

    def _groups(
        self, plan: IntegerPlan, state: NetworkState, network: nn.Module, context: Context
    ) -> list[GroupQuantizer]:
        """Return what rounds the values of each group of `plan`."""
        names = [name for group in plan.groups for name in group]
        if not names:
            return []
        images = context.data.training_inputs(self.calibration_images)
        ranges = value_ranges(network, context.values(state), names, images, self.input_range)
        return [GroupQuantizer({name: ranges[name] for name in group}) for group in plan.groups]

    def _format(
        self, layer: Layer, grid: WeightGrid, inputs: GroupQuantizer | None
    ) -> LayerFormat:
        """Return the format of `layer` with the range of its weights, for such `inputs`."""
        scale, zero_point = fit_grid(layer.weight, grid)
        if inputs is not None and layer.bias is not None:
            least = layer.bias.detach().abs() / (inputs.format.scale * LARGEST_BIAS)
            scale = scale.maximum(least if self.per_channel else least.max())
        return LayerFormat(bits=grid.bits, weight_scale=scale, weight_zero_point=zero_point)


def _to_float16_(layer: Layer) -> None:
    for values in _numbers(layer):
        values.data = values.data.half().float()


def _fits_float16(layer: Layer) -> bool:
    return all(bool(values.detach().half().isfinite().all()) for values in _numbers(layer))


def _numbers(layer: Layer) -> list[Tensor]:
    return [layer.weight, *([] if layer.bias is None else [layer.bias])]
