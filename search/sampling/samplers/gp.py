"""Gaussian processes."""

from optuna.samplers import BaseSampler, GPSampler


def sampler(seed: int) -> BaseSampler:
    """Return a new one."""
    return GPSampler(seed=seed)
