"""The evolutionary algorithm NSGA-II."""

from optuna.samplers import BaseSampler, NSGAIISampler

POPULATION = 20
"""Optuna's 50 is more than most compression studies have trials."""


def sampler(seed: int) -> BaseSampler:
    """Return a new one."""
    return NSGAIISampler(population_size=POPULATION, seed=seed)
