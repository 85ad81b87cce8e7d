"""Search spaces: which plans a study may try."""

from itertools import product
from typing import Protocol

from optuna import Trial

from objectives.plan import Plan
from objectives.stages.quantize import PAPER_PRECISIONS, PRECISIONS
from search.config import StudyConfig


class SearchSpace(Protocol):
    """Turns a trial's suggestions into a plan."""

    def suggest(self, trial: Trial) -> Plan:
        """Return the plan that `trial` is to carry out."""


class PaperSpace:
    """The paper's two dimensions, `sparsity` and `precision`; all else is the study's config."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config

    def suggest(self, trial: Trial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        template = self._config.plan()
        return Plan(
            train=template.train,
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
    """Density, allocation, fine-tuning, bits down to 2, and how the grid of numbers lies."""

    def __init__(self, config: StudyConfig) -> None:
        self._config = config

    def suggest(self, trial: Trial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        template = self._config.plan()
        return Plan(
            train=template.train,
            prune=template.prune.suggest_wide(trial),
            quantize=template.quantize.suggest_wide(trial),
        )


def search_space(config: StudyConfig) -> SearchSpace:
    """Return the space that `config` names."""
    return WideSpace(config) if config.space == "wide" else PaperSpace(config)
