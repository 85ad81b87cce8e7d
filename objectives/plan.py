"""A plan: a recipe, and the settings of every stage of one trial."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from models.errors import BadInputError
from objectives.recipe import Recipe
from objectives.stages import stage_types
from objectives.stages.base import Kind, Stage

STAGES: dict[str, type[Stage]] = stage_types()
"""Each type of stage by its name in plans, in the order of execution."""

METHODS = tuple(name for name, kind in STAGES.items() if kind.is_method)
"""The compression methods that are stages."""

WHY_ONE = {"masking": "which weights are zero", "representation": "what a weight is stored as"}
"""What stages of a kind decide of which a plan has one at most."""


BY_ANY_NAME = STAGES | {kind.former_name: kind for kind in STAGES.values() if kind.former_name}
"""Also by the names of before, which studies and plans may still have."""


def methods_of(kind: Kind) -> tuple[str, ...]:
    """Return all names of the methods that decide this."""
    return tuple(
        name for name, each in BY_ANY_NAME.items() if each.is_method and each.kind == kind
    )


def losing_zeros() -> tuple[str, ...]:
    """Return all names of the methods that keep no zeros of those before."""
    return tuple(name for name, each in BY_ANY_NAME.items() if each.loses_zeros)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Plain data that, with model, data and seed, decides a trial's result."""

    recipe: Recipe = field(default_factory=Recipe)
    """How all stages train."""
    settings: tuple[Stage, ...]
    """Of each stage, in the order of execution (see `of`); also of those that do nothing."""

    @classmethod
    def of(cls, *settings: Stage, recipe: Recipe | None = None) -> "Plan":
        """Return the plan of these stages, whatever their order here."""
        order = list(STAGES)
        placed = sorted(settings, key=lambda each: order.index(each.part))
        return cls(recipe=recipe or Recipe(), settings=tuple(placed))

    def __post_init__(self) -> None:
        for kind, what in WHY_ONE.items():
            chosen = [stage.part for stage in self._methods() if stage.kind == kind]
            if len(chosen) > 1:
                raise BadInputError(
                    f"{' and '.join(chosen)} do not go together: each decides {what}, and the "
                    "later would undo the earlier."
                )
        masking = [stage for stage in self._methods() if stage.kind == "masking"]
        for stage in self._methods():
            if masking and stage.loses_zeros:
                raise BadInputError(
                    f"{masking[0].part} and {stage.part} do not go together: {stage.loses_zeros}."
                )

    def _methods(self) -> Iterator[Stage]:
        return (stage for stage in self.stages() if stage.is_method)

    def stages(self) -> Iterator[Stage]:
        """Yield the settings of the stages that do something, in the order of their execution."""
        return (stage for stage in self.settings if not stage.is_neutral)

    def get(self, part: str) -> Any:  # noqa: ANN401 - settings of whatever stage that is
        """Return the settings of the stage of this name, None if the plan has none."""
        return next((stage for stage in self.settings if stage.part == part), None)

    def of_the_paper(self, kind: Kind) -> Any:  # noqa: ANN401 - settings of whatever stage that is
        """Return the settings of the paper's stage of this kind, which a plan always has."""
        return next(stage for stage in self.settings if stage.of_the_paper and stage.kind == kind)

    @property
    def train(self) -> Stage:
        """The settings of the baseline's training."""
        return next(stage for stage in self.settings if stage.kind == "training")

    def with_stages(self, *settings: Stage) -> "Plan":
        """Return the plan with these in the place of those of their names."""
        parts = {stage.part: stage for stage in (*self.settings, *settings)}
        return Plan.of(*parts.values(), recipe=self.recipe)

    def without(self, kind: Kind) -> "Plan":
        """Return the plan without stages of this kind."""
        kept = [stage for stage in self.settings if stage.kind != kind]
        return Plan.of(*kept, recipe=self.recipe)

    def uncompressed(self) -> "Plan":
        """Return the plan of the baseline."""
        return Plan.of(self.train, recipe=self.recipe.of_baseline())

    def is_of_the_paper(self) -> bool:
        """Return whether sparsity and bits are all that there is to say."""
        return all(stage.of_the_paper or not stage.is_method for stage in self.stages())

    def to_json(self) -> str:
        """Return the plan as JSON; `from_json` undoes it."""
        parts = {stage.part: asdict(stage) for stage in self.settings}
        return json.dumps({"recipe": asdict(self.recipe)} | parts)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote.

        Raises:
            BadInputError: It is no plan, or a setting breaks its law.
        """
        parts = _parts(text)
        try:
            recipe = Recipe(**(parts.get("recipe") or {}))
            settings = [
                kind(**{**kind.before, **parts[name]})
                for name, kind in BY_ANY_NAME.items()
                if parts.get(name) is not None
            ]
        except (AttributeError, TypeError) as err:
            raise BadInputError(f"The plan is not one: {err}.") from err
        return cls.of(*settings, recipe=recipe)


def _parts(text: str) -> dict[str, Any]:
    """Return the parts of a plan's JSON: those that each plan has, and none that is unknown."""
    try:
        parts: dict[str, Any] = dict(json.loads(text))
    except json.JSONDecodeError as err:
        raise BadInputError(f"The plan is not JSON: {err}.") from err
    except (TypeError, ValueError) as err:
        raise BadInputError(f"The plan is not one: {err}.") from err
    known = ["recipe", *STAGES]
    missing = [name for name, kind in STAGES.items() if kind.of_the_paper and not parts.get(name)]
    if missing:
        raise BadInputError(f"The plan has no {', '.join(missing)}.")
    if unknown := sorted(set(parts) - {"recipe", *BY_ANY_NAME}):
        raise BadInputError(f"The plan has a part {unknown[0]!r}; known are {', '.join(known)}.")
    return parts
