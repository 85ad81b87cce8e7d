"""How long a study will take here: what its trials do, times what that takes when it is tried."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import optuna
from optuna.samplers import RandomSampler

from objectives.context import Context
from objectives.errors import TrialError
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.preflight.effort import Effort, effort_of_file, effort_of_stage, like_its_file
from objectives.stages.base import Stage
from search.sampling.space import SearchSpace
from search.settings.config import StudyConfig
from search.storage.study import quiet_optuna
from search.workers.processes import Processes

SAMPLED_PLANS = 40
"""Of a search, whose trials nobody knows: their mean is that of the space."""
MOST_FILES = 4
"""Plans whose files are tried."""
TRIALS_A_FILE = 4
"""A short study tries fewer."""
OPENING_SECONDS = 1.5
"""What a worker process takes until its first trial, without its first export."""
FIRST_EXPORT_SECONDS = 2.0
"""What the first export of a process takes more at least; this process may have had its own."""
REPORT_SECONDS = 3.0
"""What the report takes, without its plots' import."""
LOWEST, HIGHEST = 0.7, 1.2
"""The range that is told, as a share of the estimate.

It held four studies of 12 to 16 s on a quiet machine, its middle 1.03 to 1.25 of their seconds;
beside other work they took longer.
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """Seconds from now on, and what they are made of."""

    seconds: float
    epochs: float
    """Epochs of all trials."""
    epoch_seconds: float
    """Of a mean epoch."""
    trials: int
    file_seconds: float
    """Of the file of a mean trial: written, checked, scored, timed, coded."""

    def told(self, where: str) -> str:
        """Return the estimate as a range, where it holds, and its parts."""
        return (
            f"{_range(LOWEST * self.seconds, HIGHEST * self.seconds)} {where}: "
            f"{self.epochs:.0f} epochs of {_plain(self.epoch_seconds)}, "
            f"{self.trials} files of {_plain(self.file_seconds)}"
        )


class Estimate:
    """Measures what it has to, in seconds that it spends before a study begins.

    Args:
        pipeline: Of the study.
        config: Of the study.
        space: What a search chooses from.
    """

    def __init__(self, pipeline: Pipeline, config: StudyConfig, space: SearchSpace) -> None:
        self._pipeline = pipeline
        self._context: Context = pipeline.context
        self._config = config
        self._space = space
        self._stages: dict[tuple[str, bool], Effort] = {}

    def of_plans(self, plans: Sequence[Plan], processes: Processes) -> Duration:
        """Return the duration of trials whose plans are known."""
        pending = self._pipeline.pending_stages(plans)
        baseline = [stage for stage in pending if stage.kind == "training"]
        others = [stage for stage in pending if stage.kind != "training"]
        untrained = [stage for plan in plans for stage in plan.stages() if not stage.epochs]
        work = self._seconds([*others, *untrained])
        epochs = sum(stage.epochs for stage in pending)
        return self._duration(plans, len(plans), baseline, work, epochs, processes)

    def of_search(self, trials: int, processes: Processes) -> Duration:
        """Return the duration of so many trials that nobody knows yet."""
        plans = self.sampled_plans()
        baseline = self._pipeline.pending_stages([self._config.plan()])
        chosen = [stage for plan in plans for stage in plan.stages() if stage.kind != "training"]
        share = trials / len(plans)
        epochs = sum(stage.epochs for stage in baseline)
        epochs_of_trials = share * sum(stage.epochs for stage in chosen)
        work = share * self._seconds(chosen)
        return self._duration(plans, trials, baseline, work, epochs + epochs_of_trials, processes)

    def sampled_plans(self) -> list[Plan]:
        """Return plans of the space, each as likely as another."""
        with quiet_optuna():
            study = optuna.create_study(sampler=RandomSampler(seed=0))
            return [self._space.suggest(study.ask()) for _ in range(SAMPLED_PLANS)]

    def _duration(
        self,
        plans: Sequence[Plan],
        trials: int,
        baseline: Sequence[Stage],
        work: float,
        epochs: float,
        processes: Processes,
    ) -> Duration:
        first_seconds = self._file(self._config.plan())  # with what a process does once
        again_seconds = self._file(self._config.plan())
        wanted = min(MOST_FILES, trials // TRIALS_A_FILE)
        files = [self._file(plan) for plan in spread(plans, wanted)] or [again_seconds]
        file_seconds = sum(files) / len(files)
        before = self._seconds(baseline) + again_seconds  # while the other workers wait
        if processes.workers > 1:
            before += OPENING_SECONDS + max(FIRST_EXPORT_SECONDS, first_seconds - again_seconds)
        in_turn = (work + trials * file_seconds) / processes.workers
        last = file_seconds * (1 - 1 / processes.workers)  # one works on, the others are done
        known = sum(each.per_epoch > 0 for each in self._stages.values())
        mean = sum(each.per_epoch for each in self._stages.values()) / max(1, known)
        return Duration(
            seconds=before + in_turn + last + REPORT_SECONDS,
            epochs=epochs,
            epoch_seconds=mean,
            trials=trials,
            file_seconds=file_seconds,
        )

    def _seconds(self, stages: Iterable[Stage]) -> float:
        """Return what the stages take one after the other."""
        total = 0.0
        for stage in stages:
            kind = stage.part, stage.epochs > 0
            if kind not in self._stages:
                self._stages[kind] = effort_of_stage(stage, self._context)
            effort = self._stages[kind]
            total += effort.seconds + stage.epochs * effort.per_epoch
        return total

    def _file(self, plan: Plan) -> float:
        try:
            state = like_its_file(plan, self._context)
        except TrialError:
            state = self._context.untrained()
        config = self._config
        effort = effort_of_file(
            state, self._context, config.runs_on, config.coders, with_ram=config.asks_for_ram
        )
        return effort.seconds


def spread(plans: Sequence[T], count: int) -> list[T]:
    """Return so many of `plans`, evenly spread, none twice."""
    count = min(count, len(plans))
    return [plans[(2 * number + 1) * len(plans) // (2 * count)] for number in range(count)]


def _range(low: float, high: float) -> str:
    for most, unit, size in ((100.0, "s", 1.0), (6000.0, "min", 60.0)):
        if high < most:
            return f"{_short(low / size)} to {_short(high / size)} {unit}"
    return f"{low / 3600:.1f} to {high / 3600:.1f} h"


def _short(number: float) -> str:
    """Return a number with as many digits as an estimate has."""
    if number >= 20:
        return f"{5 * round(number / 5)}"
    return f"{number:.1f}" if number < 3 else f"{number:.0f}"


def _plain(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
