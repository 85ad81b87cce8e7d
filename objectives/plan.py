"""A plan: the settings of every stage of one trial."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from models.errors import BadInputError
from objectives.recipe import Recipe
from objectives.stages.base import StageSettings
from objectives.stages.binary import BinaryWeights
from objectives.stages.channels import ChannelRemoval
from objectives.stages.cluster import Clustering
from objectives.stages.factorize import Factorization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.mixed import MixedPrecision
from objectives.stages.n_m import GroupPruning
from objectives.stages.narrow import NarrowTraining
from objectives.stages.points import QuantizationPoints
from objectives.stages.power_of_two import PowerOfTwo
from objectives.stages.product import ProductQuantization
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining

SETTINGS: dict[str, Any] = {
    "recipe": Recipe,
    "train": BaselineTraining,
    "narrow": NarrowTraining,
    "channels": ChannelRemoval,
    "factorize": Factorization,
    "warm_start": WeightPruning,
    "prune": WeightPruning,
    "n_m": GroupPruning,
    "quantize": Quantization,
    "mixed": MixedPrecision,
    "cluster": Clustering,
    "product": ProductQuantization,
    "fixed_point": FixedPoint,
    "power_of_two": PowerOfTwo,
    "binary": BinaryWeights,
    "points": QuantizationPoints,
}
"""The type of each part of a plan, in the order of execution."""

METHODS = tuple(name for name in SETTINGS if name not in {"recipe", "train", "warm_start"})
"""The compression methods that are stages."""

STRUCTURES = ("narrow", "channels", "factorize")
"""Stages that decide which weights there are, before any is zeroed or stored otherwise."""

MASKINGS = ("prune", "n_m")
"""Stages that decide which weights are zero: one at most."""

REPRESENTATIONS = (
    "quantize",
    "mixed",
    "cluster",
    "product",
    "fixed_point",
    "power_of_two",
    "binary",
    "points",
)
"""Stages that decide what a weight is stored as: one at most."""

WITHOUT_ZEROS = ("product",)
"""Those that keep no mask."""

BEFORE: dict[str, dict[str, Any]] = {
    "quantize": {"input_range": "extremes", "integers": "everywhere"},
    "product": {"first_convolution": True},
}
"""Settings that plans of before do not name, by stage, and what was done then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plain data that, with model, data and seed, decides a trial's result."""

    recipe: Recipe = field(default_factory=Recipe)
    """How all stages train."""
    train: BaselineTraining
    narrow: NarrowTraining | None = None
    channels: ChannelRemoval | None = None
    factorize: Factorization | None = None
    warm_start: WeightPruning | None = None
    """Pruning whose result is pruned further, or less; None starts from the baseline."""
    prune: WeightPruning
    n_m: GroupPruning | None = None
    quantize: Quantization
    mixed: MixedPrecision | None = None
    cluster: Clustering | None = None
    product: ProductQuantization | None = None
    fixed_point: FixedPoint | None = None
    power_of_two: PowerOfTwo | None = None
    binary: BinaryWeights | None = None
    points: QuantizationPoints | None = None

    def __post_init__(self) -> None:
        masking = self._chosen(MASKINGS)
        representation = self._chosen(REPRESENTATIONS)
        if len(masking) > 1:
            raise BadInputError(
                f"{' and '.join(masking)} do not go together: each decides which weights are "
                "zero, and the later would undo the earlier."
            )
        if len(representation) > 1:
            raise BadInputError(
                f"{' and '.join(representation)} do not go together: each decides what a weight "
                "is stored as, and the later would undo the earlier."
            )
        if masking and set(representation) <= set(WITHOUT_ZEROS) and representation:
            raise BadInputError(
                f"{masking[0]} and {representation[0]} do not go together: blocks mix pruned "
                "weights with others, and the entries that they share would not keep the zeros."
            )

    def _chosen(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if not _is_neutral(getattr(self, name))]

    def stages(self) -> Iterator[StageSettings]:
        """Yield the settings of the stages that do something, in the order of their execution."""
        for name in SETTINGS:
            settings = getattr(self, name)
            if name != "recipe" and not _is_neutral(settings):
                yield settings

    def uncompressed(self) -> "Plan":
        """Return the plan of the baseline."""
        return Plan(
            recipe=self.recipe.of_baseline(),
            train=self.train,
            prune=replace(self.prune, sparsity=0.0, layers={}),
            quantize=replace(self.quantize, bits=32, layers={}),
        )

    def is_of_the_paper(self) -> bool:
        """Return whether sparsity and bits are all that there is to say."""
        return not any(
            _is_neutral(getattr(self, part.name)) is False
            for part in fields(self)
            if part.name not in {"recipe", "train", "warm_start", "prune", "quantize"}
        )

    def to_json(self) -> str:
        """Return the plan as JSON; `from_json` undoes it."""
        parts = asdict(self)
        return json.dumps({name: part for name, part in parts.items() if part is not None})

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote.

        Raises:
            BadInputError: It is no plan, or a setting breaks its law.
        """
        try:
            parts = json.loads(text)
            return cls(
                **{
                    name: settings(**(BEFORE.get(name, {}) | parts[name]))
                    for name, settings in SETTINGS.items()
                    if parts.get(name) is not None
                }
            )
        except json.JSONDecodeError as err:
            raise BadInputError(f"The plan is not JSON: {err}.") from err
        except (AttributeError, TypeError) as err:
            raise BadInputError(f"The plan is not one: {err}.") from err


def _is_neutral(settings: StageSettings | None) -> bool:
    return settings is None or settings.is_neutral
