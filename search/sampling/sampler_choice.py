"""Samplers by name; each new trial gets a new one, seeded by the study and the trial's number."""

import warnings
from collections.abc import Callable
from typing import Literal, get_args

import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from search.settings.config import StudyConfig

SamplerName = Literal["auto", "grid", "tpe", "random", "gp", "nsgaii"]
SAMPLERS: tuple[SamplerName, ...] = get_args(SamplerName)

MANY_TRIALS = 500
"""From here on an evolutionary sampler learns as well as TPE, whose cost grows with the trials."""

NSGAII_POPULATION = 20
"""Optuna's 50 is more than most compression studies have trials."""


def resolve_sampler(name: SamplerName, config: StudyConfig, trials: int) -> SamplerName:
    """Return the sampler that `auto` stands for; any other stands for itself."""
    if name != "auto":
        return name
    if config.space in {"paper", "plan"}:
        return "grid"
    return "nsgaii" if len(config.values) > 1 and trials > MANY_TRIALS else "tpe"


def sampler_maker(name: SamplerName, seed: int) -> Callable[[int], BaseSampler]:
    """Return a function from the number of trials so far to the sampler of the next one.

    TPE is multivariate and takes running trials for bad ones (constant liar), so that workers
    side by side do not try the same.
    """

    def make(trials_so_far: int) -> BaseSampler:
        seeded = (seed * 1_000_003 + trials_so_far) % 2**32
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            match name:
                case "tpe":
                    return TPESampler(
                        multivariate=True, constant_liar=True, seed=seeded, n_startup_trials=10
                    )
                case "gp":
                    return GPSampler(seed=seeded)
                case "nsgaii":
                    return NSGAIISampler(population_size=NSGAII_POPULATION, seed=seeded)
                case _:
                    return RandomSampler(seed=seeded)

    return make
