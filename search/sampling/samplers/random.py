"""Each parameter at random, whatever came before."""

from optuna.samplers import BaseSampler, RandomSampler


def sampler(seed: int) -> BaseSampler:
    """Return a new one."""
    return RandomSampler(seed=seed)
