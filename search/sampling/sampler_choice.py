"""Which sampler a study has, by name, and the one of each of its trials."""

import warnings
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from search.sampling.samplers import AUTO, GRID, samplers
from search.settings.config import StudyConfig

MANY_TRIALS = 500
"""From here on an evolutionary sampler learns as well as TPE, whose cost grows with the trials."""


def resolve_sampler(name: str, config: StudyConfig, trials: int) -> str:
    """Return the sampler that `auto` stands for; any other stands for itself."""
    if name != AUTO:
        return name
    if config.space in {"paper", "plan"}:
        return GRID
    return "nsgaii" if len(config.values) > 1 and trials > MANY_TRIALS else "tpe"


def sampler_maker(name: str, seed: int) -> Callable[[int], BaseSampler]:
    """Return a function from the number of trials so far to the sampler of the next one."""
    make = samplers()[name]

    def made(trials_so_far: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return make((seed * 1_000_003 + trials_so_far) % 2**32)

    return made
