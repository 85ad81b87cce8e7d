"""Search spaces: which plans a study may try."""

from itertools import product

from optuna import Trial

from objectives.plan import Plan
from search.config import StudyConfig


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
            quantize=template.quantize.suggest(trial),
        )

    def grid(self) -> list[dict[str, float]]:
        """Return the parameters of every combination, sparsities outermost, each list's order."""
        return [
            {"sparsity": sparsity, "precision": bits}
            for sparsity, bits in product(self._config.sparsity, self._config.precision)
        ]

    def plan(self, params: dict[str, float]) -> Plan:
        """Return the plan of one combination of the grid."""
        return self._config.plan(params["sparsity"], int(params["precision"]))
