"""Look before training whether a network can go all the way, and how long the way will be."""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from models.errors import BadInputError
from models.layers import compressible_layers
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.stages.export import export_onnx
from objectives.state import NetworkState, copy_weights

TIMED_INPUTS = 32


def require_layers(context: Context, network: nn.Module) -> None:
    """Raise `BadInputError` unless some layer of `network` is to be compressed."""
    if not context.layers_of(network):
        raise BadInputError(
            f"No layer that can be compressed matches {', '.join(context.layers)}. "
            f"There are: {', '.join(compressible_layers(network)) or 'none'}."
        )


def check_network(context: Context) -> None:
    """See that the network takes the data, answers with logits, has layers and can be exported.

    Raises:
        BadInputError: It does not; the text names the layer where there is one.
    """
    network = context.build_network().eval()
    inputs = context.data.training_inputs(2)
    try:
        with torch.no_grad():
            logits = network(inputs)
    except Exception as err:
        reason = (str(err).splitlines() or [""])[0]
        raise BadInputError(
            f"The network cannot take inputs of shape {tuple(inputs.shape)}: {reason}"
        ) from err
    wanted = (len(inputs), context.data.num_classes)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise BadInputError(f"The network must return logits of shape {wanted}, but got {got}.")
    require_layers(context, network)
    try:
        export_onnx(NetworkState(weights=copy_weights(network)), context)
    except MeasurementError as err:
        raise BadInputError(str(err)) from err


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
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    forward = backward = update = 0.0
    for _ in range(2):  # the first one prepares kernels and memory
        start = time.perf_counter()
        loss = functional.cross_entropy(network(inputs), labels)
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
