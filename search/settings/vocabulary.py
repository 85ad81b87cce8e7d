"""What a study may be asked for, by name: objectives, spaces, methods."""

from typing import Literal, get_args

from objectives.container.coders import coders
from objectives.plan import METHODS as STAGE_METHODS

ObjectiveName = Literal["quality", "saving", "pareto"]
OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)

SpaceName = Literal["paper", "wide", "layerwise", "plan"]
SPACES: tuple[SpaceName, ...] = get_args(SpaceName)

CODERS = tuple(coders())
"""Methods that code the file: its container is what counts then."""
METHODS = (*STAGE_METHODS, "distill", *CODERS)

Direction = Literal["minimize", "maximize"]
DIRECTIONS: dict[str, Direction] = {
    "quality": "maximize",
    "saving": "maximize",
    "val_accuracy_pct": "maximize",
    "artifact_bytes": "minimize",
    "artifact_raw_bytes": "minimize",
    "container_bytes": "minimize",
    "latency_ms": "minimize",
    "ram_bytes": "minimize",
    "energy_uj": "minimize",
}
"""Which way each user attribute that can be an objective is better."""

EXTRA_OBJECTIVES = {"latency": "latency_ms", "ram": "ram_bytes", "energy": "energy_uj"}
"""The user attributes that `pareto` can minimize beside the size."""

LIMITS = ("max_drop", "max_bytes", "max_latency_ms", "max_ram_kb", "max_flash_kb")
"""Settings that a trial must keep, where they are set."""

PAPER_SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)
