"""How long the way will be, from a short timing."""

import time
from dataclasses import dataclass

import torch

from models.inputs import ask
from objectives.context import Context

TIMED_INPUTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast this machine is on this network, from a short timing."""

    epoch_seconds: float
    """One epoch of training."""
    evaluation_seconds: float
    """One pass over validation and test, without gradients."""


def measure_pace(context: Context, batch_size: int) -> Pace:
    """Time one small training step after a first one, and scale it up; seconds, not minutes."""
    network = context.build_network().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0, fused=True)
    inputs = context.data.training_inputs(min(batch_size, TIMED_INPUTS))
    forward = backward = update = 0.0
    for _ in range(2):  # the first one prepares kernels and memory
        start = time.perf_counter()
        loss = ask(network, inputs).float().square().mean()  # any loss takes as long
        between = time.perf_counter()
        loss.backward()
        after = time.perf_counter()
        optimizer.step()
        forward, backward, update = between - start, after - between, time.perf_counter() - after
    sizes = context.data.sizes()
    steps = -(-sizes["train"] // batch_size)
    evaluated = sizes["validation"] + sizes["test"]
    return Pace(
        epoch_seconds=(forward + backward) / len(inputs) * sizes["train"] + update * steps,
        evaluation_seconds=forward / len(inputs) * evaluated,
    )
