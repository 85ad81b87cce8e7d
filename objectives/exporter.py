"""Let torch write the ONNX model of a network in float32, and strip it to what a runtime reads.

Exporting even a small network takes a second, and the trials of a search export it again and again
with other weights. What they replace afterwards they export as stand-ins that are always the same,
so a model that was exported before is used again.
"""

import hashlib
import logging
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import torch
from onnx import ModelProto
from torch import Tensor, nn

from objectives.errors import MeasurementError

INPUT_NAME = "input"
OUTPUT_NAME = "logits"

SMALL_BYTES = 16 * 2**20
MOST_KEPT = 16
"""Models of small networks that are kept in memory."""

_KEPT: dict[tuple[Hashable, str], bytes] = {}


def float_model(network: nn.Module, example: Tensor, *, maker: Hashable) -> ModelProto:
    """Return the stripped model of `network`: input `input`, N free, output `logits`.

    Args:
        network: In evaluation mode.
        example: Two inputs, as an axis of size 1 would not stay free.
        maker: What has built the network. With it, the network's state and what it prints decide
            the model.

    Raises:
        MeasurementError: The network cannot be exported; the text names the layer.
    """
    state = network.state_dict()
    if sum(tensor.nbytes for tensor in state.values()) > SMALL_BYTES:
        return _model(network, example)
    digest = hashlib.sha256(f"{network}{tuple(example.shape)}".encode())
    for name, tensor in state.items():
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    key = maker, digest.hexdigest()
    if key not in _KEPT:
        model = _model(network, example)
        if len(_KEPT) >= MOST_KEPT:
            del _KEPT[next(iter(_KEPT))]
        _KEPT[key] = model.SerializeToString()
    kept: ModelProto = ModelProto.FromString(_KEPT[key])
    return kept


def _model(network: nn.Module, example: Tensor) -> ModelProto:
    try:
        model = _exported(network, example)
    except Exception as err:
        layer = _layer_that_fails(network, example)
        raise MeasurementError(
            f"The network cannot be exported to ONNX: {layer}: {_reason(err)}"
        ) from err
    _strip_(model)
    return model


def _exported(network: nn.Module, example: Tensor) -> ModelProto:
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript", "torch.export"):
        warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    return model


def _layer_that_fails(network: nn.Module, example: Tensor) -> str:
    """Return the name and kind of the first innermost module that cannot be exported by itself."""
    taken: dict[str, tuple[object, ...]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: taken.setdefault(name, args))
        for name, module in network.named_modules()
        if name and not list(module.children())
    ]
    with torch.no_grad():
        network(example)
    for hook in hooks:
        hook.remove()
    for name, inputs in taken.items():
        module = network.get_submodule(name)
        if len(inputs) == 1 and isinstance(inputs[0], Tensor):
            try:
                _exported(module, inputs[0])
            except Exception:
                return f"layer '{name}' ({type(module).__name__})"
    return f"its own forward pass ({type(network).__name__})"


def _reason(err: BaseException) -> str:
    """Return the innermost cause in a line."""
    while err.__cause__ is not None:
        err = err.__cause__
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return f"{type(err).__name__}: {lines[0] if lines else ''}"


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keep the loggers called `names` from writing within the block."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip_(model: ModelProto) -> None:
    """Remove, in place, what no runtime reads: metadata, texts, node names, inner shapes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for node in graph.node:
        node.ClearField("name")
    graph.ClearField("value_info")
    graph.ClearField("name")
    graph.name = "g"  # the checker wants one
    model.ClearField("producer_name")
    model.ClearField("producer_version")
