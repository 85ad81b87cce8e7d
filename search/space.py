"""Search spaces: which plans a study may try."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Protocol, runtime_checkable

from optuna.trial import BaseTrial

from objectives.plan import METHODS as STAGE_METHODS
from objectives.plan import REPRESENTATIONS, SETTINGS, WITHOUT_PRUNING, Plan
from objectives.stages.quantize import PAPER_PRECISIONS, PRECISIONS
from search.config import StudyConfig
from search.layerwise import LayerwiseSpace


class SearchSpace(Protocol):
    """Turns a trial's suggestions into a plan."""

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan that `trial` is to carry out."""


@runtime_checkable
class FiniteSpace(SearchSpace, Protocol):
    """A space whose plans can be counted."""

    def grid(self) -> list[dict[str, float]]:
        """Return the parameters of every combination."""


class PaperSpace:
    """The paper's two dimensions, `sparsity` and `precision`; all else is the study's config."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        template = self._config.plan()
        return replace(
            template,
            prune=template.prune.suggest(trial),
            quantize=template.quantize.suggest(trial, self._precisions()),
        )

    def _precisions(self) -> tuple[int, ...]:
        """Return the paper's three, or all if the grid has others: a study has one set."""
        is_papers = set(self._config.precision) <= set(PAPER_PRECISIONS)
        return PAPER_PRECISIONS if is_papers else PRECISIONS

    def grid(self) -> list[dict[str, float]]:
        """Return the parameters of every combination, sparsities outermost, each list's order."""
        return [
            {"sparsity": sparsity, "precision": bits}
            for sparsity, bits in product(self._config.sparsity, self._config.precision)
        ]


class WideSpace:
    """The settings of each method that the study may use."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._representations = [name for name in REPRESENTATIONS if name in config.methods]
        self._others = [
            name
            for name in STAGE_METHODS
            if name in config.methods and name != "prune" and name not in REPRESENTATIONS
        ]

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        plan = self._config.plan()
        if "prune" in self._config.methods and not self._keeps_no_zeros(trial):
            plan = replace(plan, prune=plan.prune.suggest_wide(trial, self._config.density))
        if "distill" in self._config.methods:
            plan = replace(plan, recipe=plan.recipe.suggest(trial))
        chosen = [*self._others, *self._representation(trial)]
        return replace(plan, **{name: self._suggested(name, trial) for name in chosen})

    def _suggested(self, method: str, trial: BaseTrial) -> Any:  # noqa: ANN401 - a plan's part
        if method == "quantize":  # a plan has it always, neutral or not
            return self._config.plan().quantize.suggest_wide(trial)
        return SETTINGS[method].start(self._config.tuning).suggest_wide(trial)

    def _keeps_no_zeros(self, trial: BaseTrial) -> bool:
        """Return whether the trial's representation excludes pruning.

        The representation is asked for before the rest only where it may exclude it: a seed of any
        other search gives the trials that it always gave.
        """
        excluding = set(self._representations).intersection(WITHOUT_PRUNING)
        return bool(excluding) and not excluding.isdisjoint(self._representation(trial))

    def _representation(self, trial: BaseTrial) -> list[str]:
        """Return the method that decides what weights are stored as, if there is one."""
        if len(self._representations) < 2:
            return self._representations
        return [str(trial.suggest_categorical("representation", self._representations))]


class OnePlan:
    """No search: the plan that the config holds."""

    def __init__(self, config: StudyConfig) -> None:
        assert config.only_plan is not None
        self._plan = Plan.from_json(config.only_plan)

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan."""
        return self._plan

    def grid(self) -> list[dict[str, float]]:
        """Return the one combination, of no parameters."""
        return [{}]


def search_space(config: StudyConfig, layer_sizes: Mapping[str, int]) -> SearchSpace:
    """Return the space that `config` names.

    Args:
        config: Of the study.
        layer_sizes: Weights of each layer that is compressed, by name, in the network's order.
    """
    match config.space:
        case "paper":
            return PaperSpace(config)
        case "wide":
            return WideSpace(config)
        case "layerwise":
            return LayerwiseSpace(config, layer_sizes)
        case "plan":
            return OnePlan(config)
