"""Tree-structured Parzen estimators, over all parameters together.

Running trials are taken for bad ones (constant liar), so that workers side by side do not try the
same.
"""

from optuna.samplers import BaseSampler, TPESampler


def sampler(seed: int) -> BaseSampler:
    """Return a new one."""
    return TPESampler(multivariate=True, constant_liar=True, seed=seed, n_startup_trials=10)
