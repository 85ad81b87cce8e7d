"""How a study is searched: what may change from one call to the next, unlike its config."""

from dataclasses import dataclass

from optuna import Study
from optuna.storages import RDBStorage

from models.checks import require
from models.errors import BadInputError
from search.sampling.sampler_choice import resolve_sampler, sampler_maker
from search.sampling.samplers import AUTO, CHOICES, GRID
from search.sampling.space import FiniteSpace, SearchSpace, WideSpace
from search.sampling.stopping import STOPPING_RULES, StoppingRuleName
from search.settings.config import StudyConfig
from search.storage.database import StudyLock
from search.storage.queue import SampledQueue, TrialQueue

FINITE_SPACES = ("paper", "plan")
"""Those that have a grid."""

DEFAULT_TRIALS = 100
"""Of a sampler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchMethod:
    """Who chooses trials, how many, and which are cut short."""

    sampler: str = AUTO
    """See `search.sampling.samplers`."""
    trials: int | None = None
    """With a sampler, trials that the study shall have; for the grid, to run now at most."""
    stopping_rule: StoppingRuleName = "none"
    """See `search.sampling.stopping`."""
    warm_start: bool = False
    """Whether pruning begins at the nearest pruned network; see `search.sampling.warm_start`."""

    def check(self, config: StudyConfig) -> None:
        """Raise `BadInputError` if the method does not suit the study."""
        require(self.sampler in CHOICES, f"sampler in {CHOICES}", sampler=self.sampler)
        require(
            self.stopping_rule in STOPPING_RULES,
            f"stopping_rule in {STOPPING_RULES}",
            stopping_rule=self.stopping_rule,
        )
        require(self.trials is None or self.trials >= 1, "trials >= 1", trials=self.trials)
        require(
            self.stopping_rule == "none" or len(config.values) == 1,
            "--stopping-rule goes with one objective, not with pareto",
            stopping_rule=self.stopping_rule,
        )
        if config.ranges:
            WideSpace(config).check()
        sampler = resolve_sampler(self.sampler, config, self.trials or DEFAULT_TRIALS)
        if sampler == GRID and config.space not in FINITE_SPACES:
            raise BadInputError(f"`--sampler grid` knows no grid of the space {config.space}.")
        require(
            not self.warm_start or (sampler != "grid" and config.space != "layerwise"),
            "--warm-start goes with a sampler and with one sparsity for all layers",
            sampler=sampler,
            space=config.space,
        )

    def queue(
        self,
        study: Study,
        storage: RDBStorage,
        space: SearchSpace,
        lock: StudyLock,
        config: StudyConfig,
    ) -> TrialQueue:
        """Return the queue of the grid, or of what a sampler suggests; see `check`."""
        total = self.trials or DEFAULT_TRIALS
        sampler = resolve_sampler(self.sampler, config, total)
        if sampler == GRID:
            assert isinstance(space, FiniteSpace)
            return TrialQueue(study, storage, space.grid(), lock)
        make_sampler = sampler_maker(sampler, config.seed)
        return SampledQueue(study, storage, lock, total=total, make_sampler=make_sampler)
