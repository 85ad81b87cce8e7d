"""Begin a pruning at a network that another trial has pruned, instead of at the baseline.

The plan says which pruning that was, so it alone still decides the result: were the network not
in the cache any more, it would be trained again.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from objectives.plan import REPRESENTATIONS, STRUCTURES, Plan

WARM_SHARE_OF_EPOCHS = 1 / 3
LARGEST_DENSITY_RATIO = 2.0
"""Networks further apart than this, in weights kept, are no start for one another."""


def warm_started(plan: Plan, others: Iterable[Plan], is_cached: Callable[[Plan], bool]) -> Plan:
    """Return `plan`, beginning at the nearest pruning among `others`, sparser or denser.

    The result takes a third of the epochs, and is `plan` itself where no pruned network is near,
    where nothing is pruned, or where the plan's own pruning is at hand.

    Args:
        plan: Of a space in which one sparsity is for all layers.
        others: Plans that were carried out.
        is_cached: Whether a plan's trained stages can be read.
    """
    if plan.prune.is_neutral or is_cached(_pruned(plan)):
        return plan

    def distance(other: Plan) -> float:
        return abs(math.log((1 - other.prune.sparsity) / (1 - plan.prune.sparsity)))

    near = [
        other
        for other in others
        if other.warm_start is None  # a chain would have no end
        and not other.prune.is_neutral
        and other.train == plan.train
        and all(getattr(other, name) == getattr(plan, name) for name in STRUCTURES)
        and other.prune.allocation == plan.prune.allocation
        and distance(other) <= math.log(LARGEST_DENSITY_RATIO)
        and is_cached(_pruned(other))
    ]
    if not near:
        return plan
    start = min(near, key=distance).prune
    return replace(
        plan,
        warm_start=start,
        prune=replace(
            plan.prune,
            initial_sparsity=min(start.sparsity, plan.prune.sparsity),
            epochs=math.ceil(plan.prune.epochs * WARM_SHARE_OF_EPOCHS),
        ),
    )


def _pruned(plan: Plan) -> Plan:
    """Return `plan` up to its pruning."""
    others: dict[str, Any] = {name: None for name in REPRESENTATIONS if name != "quantize"}
    return replace(plan, quantize=replace(plan.quantize, bits=32, layers={}), **others)
