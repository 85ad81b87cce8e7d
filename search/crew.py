"""How many processes work on a study here, and with how many threads each."""

import os
from dataclasses import dataclass

import torch
from torch import nn

SMALL_NETWORK = 1_000_000
"""Weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Processes of one machine."""

    workers: int
    """1 is this process alone."""
    threads: int
    """Of each, for training."""
    gpus: tuple[str, ...] = ()
    """What CUDA_VISIBLE_DEVICES is for each in turn."""


def crew_for(
    network: nn.Module,
    accelerator: str,
    *,
    trials: int,
    workers: int | None = None,
    threads: int | None = None,
    trials_per_gpu: int | None = None,
) -> Crew:
    """Return the crew that works fastest, but for what was asked for.

    On a CPU one worker for each core that has not enough to do with one network's threads, on
    CUDA `trials_per_gpu` for each GPU; never more than there are trials to run.
    """
    cores = os.cpu_count() or 1
    fastest = threads or default_threads(network)
    if workers is None:
        each = {
            "cpu": max(1, cores // fastest),
            "cuda": torch.cuda.device_count() * (trials_per_gpu or 1),
            "mps": 1,
        }
        workers = max(1, min(each[accelerator], trials))
    return Crew(
        workers=workers,
        threads=threads or min(fastest, max(1, cores // workers)),
        gpus=_visible_gpus() if accelerator == "cuda" else (),
    )


def _visible_gpus() -> tuple[str, ...]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(torch.cuda.device_count())))


def default_threads(network: nn.Module) -> int:
    """Return how many threads train fastest.

    The CNN's epoch takes 3.1 s on one thread and 3.2 s on two; AlexNet gains with each.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    return 1 if weights < SMALL_NETWORK else os.cpu_count() or 1
