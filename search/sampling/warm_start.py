"""Begin a pruning at a network that another trial has pruned, instead of at the baseline.

The plan says which pruning that was, so it alone still decides the result: were the network not
in the cache any more, it would be trained again.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

from objectives.plan import Plan
from objectives.stages.base import Stage
from objectives.stages.prune import WarmStart

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
    wanted = plan.of_the_paper("masking")
    if wanted.is_neutral or is_cached(_masked(plan)):
        return plan

    def distance(other: Plan) -> float:
        kept = [1 - each.of_the_paper("masking").sparsity for each in (other, plan)]
        return abs(math.log(kept[0] / kept[1]))

    near = [
        other
        for other in others
        if other.get(WarmStart.part) is None  # a chain would have no end
        and not other.of_the_paper("masking").is_neutral
        and _before_masking(other) == _before_masking(plan)
        and other.of_the_paper("masking").allocation == wanted.allocation
        and distance(other) <= math.log(LARGEST_DENSITY_RATIO)
        and is_cached(_masked(other))
    ]
    if not near:
        return plan
    start = min(near, key=distance).of_the_paper("masking")
    return plan.with_stages(
        WarmStart(**vars(start)),
        replace(
            wanted,
            initial_sparsity=min(start.sparsity, wanted.sparsity),
            epochs=math.ceil(wanted.epochs * WARM_SHARE_OF_EPOCHS),
        ),
    )


def _before_masking(plan: Plan) -> list[Stage]:
    return [stage for stage in plan.stages() if stage.kind in {"training", "structure"}]


def _masked(plan: Plan) -> Plan:
    """Return `plan` up to its pruning."""
    return plan.without("representation")
