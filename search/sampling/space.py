"""Search spaces: which plans a study may try."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Protocol, runtime_checkable

from optuna.trial import BaseTrial

from models.errors import BadInputError
from objectives.plan import BY_ANY_NAME, Plan, losing_zeros, methods_of
from objectives.stages.base import Kind, Stage
from objectives.suggests import Suggests
from search.sampling.layerwise import LayerwiseSpace
from search.sampling.ranges import Names, Ranged, parsed
from search.settings.config import StudyConfig


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
        """Return the plan that `trial` is to carry out.

        A sampler goes from the lowest to the highest sparsity of the grid, and has its precisions.
        """
        template, config = self._config.plan(), self._config
        sparsities = min(config.sparsity), max(config.sparsity)
        return template.with_stages(
            template.of_the_paper("masking").suggest(trial, sparsities),
            template.of_the_paper("representation").suggest(trial, config.precision),
        )

    def grid(self) -> list[dict[str, float]]:
        """Return the parameters of every combination, in the order that keeps workers busy.

        Precisions are outermost, as trials that share a pruning would wait for one another; after
        the first one, which trains the prunings, those that train most, so that the last trials
        are short.
        """
        stored = self._config.plan().of_the_paper("representation")
        first, *others = self._config.precision
        others.sort(key=lambda bits: replace(stored, bits=bits).epochs, reverse=True)
        return [
            {"sparsity": sparsity, "precision": bits}
            for bits, sparsity in product([first, *others], self._config.sparsity)
        ]


DECIDING: tuple[Kind, ...] = ("structure", "masking", "representation")


class WideSpace:
    """The settings of each method that the study may use."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config
        self._structures, self._maskings, self._representations = (
            [name for name in methods_of(kind) if name in config.methods] for kind in DECIDING
        )
        self._ranges = parsed(config.ranges)

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        return self._suggest(Ranged(trial, self._ranges))

    def check(self) -> None:
        """Raise `BadInputError` if a range is said of no parameter, or breaks a stage's law."""
        every = Names(highest=False)
        self._suggest_all(every)
        if unknown := sorted(set(self._ranges) - set(every.asked)):
            known = ", ".join(sorted(set(every.asked)))
            raise BadInputError(f"`--range {unknown[0]}=...`: this space has {known}.")
        for highest in (False, True):
            self._suggest_all(Ranged(Names(highest=highest), self._ranges))

    def _suggest_all(self, trial: Suggests) -> None:
        """Ask `trial` for whatever any plan of the space may ask."""
        self._suggest(trial)
        for name in (*self._structures, *self._maskings, *self._representations):
            self._suggested(name, trial)

    def _suggest(self, trial: Suggests) -> Plan:
        plan = self._config.plan()
        structures = [name for name in self._structures if self._is_used(name, trial)]
        representation = self._one_of(self._representations, "representation", trial)
        keeps_zeros = not set(representation) & set(losing_zeros())
        masking = self._one_of(self._maskings, "masking", trial) if keeps_zeros else []
        if "distill" in self._config.methods:
            plan = replace(plan, recipe=plan.recipe.suggest(trial))
        chosen = [*structures, *masking, *representation]
        return plan.with_stages(*(self._suggested(name, trial) for name in chosen))

    def _suggested(self, method: str, trial: Suggests) -> Stage:
        tuning, kind = self._config.tuning, BY_ANY_NAME[method]
        asked = trial if method == kind.part else _NamedBefore(trial, method)
        return kind.start(tuning).suggest_wide(asked, tuning)

    def _is_used(self, structure: str, trial: Suggests) -> bool:
        """Return whether the trial has `structure`: of several it has any, all or none."""
        if len(self._structures) < 2:
            return True
        return bool(trial.suggest_categorical(f"{structure}.used", (True, False)))

    def _one_of(self, methods: list[str], parameter: str, trial: Suggests) -> list[str]:
        """Return the one of `methods` that the trial has, if there are any."""
        if len(methods) < 2:
            return methods
        return [str(trial.suggest_categorical(parameter, methods))]


class _NamedBefore:
    """Suggests by the parameters' names of before, as a study of before has them."""

    def __init__(self, trial: Suggests, former_name: str) -> None:
        self._trial = trial
        self._former_name = former_name

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever kind of suggestion that is
        suggest = getattr(self._trial, name)

        def by_former_name(parameter: str, *args: object, **kwargs: object) -> object:
            _, _, last = parameter.rpartition(".")
            return suggest(f"{self._former_name}.{last}", *args, **kwargs)

        return by_former_name


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
