"""How many processes work on a study here, and how many threads a new study trains with."""

import os
from dataclasses import dataclass

import torch
from torch import nn

from search.settings.cores import usable_cores

SMALL_NETWORK = 1_000_000
"""Weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Processes of one machine."""

    workers: int
    """1 is this process alone."""
    gpus: tuple[str, ...] = ()
    """What CUDA_VISIBLE_DEVICES is for each in turn."""


def processes_for(
    accelerator: str,
    *,
    trials: int,
    threads: int,
    workers: int | None = None,
    trials_per_gpu: int | None = None,
) -> Processes:
    """Return the processes that works fastest, but for what was asked for.

    On a CPU one worker for as many cores as it has threads, on CUDA `trials_per_gpu` for each GPU;
    never more than there are trials to run.
    """
    if workers is None:
        each = {
            "cpu": max(1, usable_cores() // threads),
            "cuda": gpu_workers(trials_per_gpu),
            "mps": 1,
        }
        workers = max(1, min(each[accelerator], trials))
    return Processes(workers=workers, gpus=_visible_gpus() if accelerator == "cuda" else ())


def gpu_workers(trials_per_gpu: int | None) -> int:
    """Return how many workers the GPUs of this machine take."""
    return torch.cuda.device_count() * (trials_per_gpu or 1)


def _visible_gpus() -> tuple[str, ...]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",") if named else map(str, range(torch.cuda.device_count())))


def default_threads(network: nn.Module, workers: int | None = None) -> int:
    """Return how many threads train fastest in each of so many workers.

    The CNN's epoch takes 3.1 s on one thread and 3.2 s on two; AlexNet gains with each.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    return 1 if weights < SMALL_NETWORK else max(1, usable_cores() // (workers or 1))
