"""Export: write the file that would be shipped, an ONNX graph in the formats of its layers.

The file has one input `input`, float32 (N, C, H, W) with pixels / 255, N free, and one output
`logits`, float32 (N, classes). Everything in it that no runtime reads is stripped: the exporter's
metadata alone is 2 KB after gzip, as much as a whole CNN at 99 % sparsity.

- float16 layers: weight and bias are stored as float16, a Cast widens them when they are loaded.
- layers of shared weights: codes, and a Gather that looks them up in the layer's codebook.
- integer layers: QuantizeLinear/DequantizeLinear pairs (QDQ) around the layer's input and a
  DequantizeLinear behind its int8 weight and int32 bias. Runtimes fuse such groups to integer
  kernels; ONNX Runtime does so only where the weight's zero point is given and the bias is int32.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import ModelProto, helper
from torch import Tensor, nn

from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.graph import GraphEditor
from objectives.state import NetworkState

INPUT_NAME = "input"
OUTPUT_NAME = "logits"


def export_onnx(state: NetworkState, context: Context) -> bytes:
    """Return the artifact: the same bytes for the same state.

    Raises:
        MeasurementError: The network cannot be exported, or a layer not stored in its format.
    """
    state = context.fold(state)
    network = context.network_of(state)
    stand_ins = _put_stand_ins_(context.layers_of(network))
    model = _float_model(network, context.data.training_inputs(2))
    strip_(model)
    graph = GraphEditor(model.graph)
    for layer, stand_in in stand_ins.items():
        graph.replace_weight(layer, stand_in, state.weights[f"{layer}.weight"])
    for layer in stand_ins:  # in the network's order: a state out of the cache has another
        stored = state.formats.get(layer)
        if stored is None:
            continue
        if stored.codebook is not None:
            graph.store_as_codes(layer, stored)
        elif stored.weight_scale is None:
            graph.store_as_float16(layer)
        else:
            graph.store_as_integers(layer, stored)
    if any(stored.weight_scale is not None for stored in state.formats.values()):
        graph.swap_pool_and_relu()
    graph.finish()
    _raise_opset_(model, graph.opset)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _put_stand_ins_(layers: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Give each layer, in place, a weight like no other, and return them by layer.

    The exporter makes one of equal tensors, and two layers may well both be pruned to zeros.
    """
    generator = torch.Generator().manual_seed(0)
    stand_ins = {}
    for name, layer in layers.items():
        weight = layer.get_parameter("weight")
        weight.data = torch.rand(weight.shape, generator=generator)
        stand_ins[name] = weight.data
    return stand_ins


def _float_model(network: nn.Module, example: Tensor) -> ModelProto:
    try:
        return _exported(network, example)
    except Exception as err:
        layer = _layer_that_fails(network, example)
        raise MeasurementError(
            f"The network cannot be exported to ONNX: {layer}: {_reason(err)}"
        ) from err


def _exported(network: nn.Module, example: Tensor) -> ModelProto:
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript", "torch.export"):
        warnings.simplefilter("ignore")  # deprecations inside torch and onnxscript
        program = torch.onnx.export(
            network,
            (example,),  # two inputs, as an axis of size 1 would not stay free
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


def _raise_opset_(model: ModelProto, opset: int) -> None:
    """Declare at least `opset`, in place; the operators used here mean the same in all of them."""
    for imported in model.opset_import:
        if imported.domain == "" and imported.version < opset:
            imported.version = opset
            model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([imported]))


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


def strip_(model: ModelProto) -> None:
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
