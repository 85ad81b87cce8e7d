"""What a trial is worth: the paper's Eq. 5 and the retained saving U."""

import math

SAVING_TOLERANCE_PP = 1.0
"""Default of U's tau: a drop of this many percentage points keeps 1/e of the saving."""


def paper_quality(
    sparsity: float, bits: float, delta_accuracy_pct: float, reduction_factor: float
) -> float:
    """Return the paper's quality Q, in (-1, 1); higher is better.

    Kept exactly as published, with a fault that a search finds: where accuracy is lost, more
    compression makes Q worse, so that the uncompressed model (Q = 0) beats every lossy one.

    Args:
        sparsity: Share of the prunable weights that are zero, in [0, 1].
        bits: Storage width of a weight.
        delta_accuracy_pct: Accuracy minus the baseline's, in percentage points.
        reduction_factor: Baseline bytes / artifact bytes.

    Source: "An Evaluation of Model Compression & Optimization Combinations", Eq. 5.
    """
    compression = (sparsity + 8 / bits) / 2
    sigmoid = 1 / (1 + math.exp(-reduction_factor))
    return compression * math.tanh(delta_accuracy_pct) * sigmoid


def retained_saving(
    delta_accuracy_pct: float,
    reduction_factor: float,
    tolerance_pp: float = SAVING_TOLERANCE_PP,
) -> float:
    """Return U = (1 - 1/r) * exp(min(0, d) / tau): bytes saved, less for accuracy lost.

    0 for the baseline, below 1 always, negative for a file larger than the baseline; it rises with
    the reduction factor r, and with the accuracy change d up to 0.

    Args:
        delta_accuracy_pct: d, accuracy minus the baseline's, in percentage points.
        reduction_factor: r, baseline bytes / artifact bytes.
        tolerance_pp: tau, in percentage points.
    """
    return (1 - 1 / reduction_factor) * math.exp(min(0.0, delta_accuracy_pct) / tolerance_pp)
