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

from collections.abc import Mapping

import onnx
import torch
from onnx import ModelProto, helper
from torch import Tensor, nn

from objectives.context import Context
from objectives.exporter import float_model
from objectives.graph import GraphEditor
from objectives.quantizers import bias_of
from objectives.state import NetworkState


def export_onnx(state: NetworkState, context: Context) -> bytes:
    """Return the artifact: the same bytes for the same state.

    Raises:
        MeasurementError: The network cannot be exported, or a layer not stored in its format.
    """
    state = context.fold(state)
    network = context.network_of(state)
    layers = context.layers_of(network)
    weights = {name: layer.get_parameter("weight") for name, layer in layers.items()}
    biases = {
        f"{name}.bias": bias for name in layers if (bias := bias_of(layers[name])) is not None
    }
    stand_ins = _put_stand_ins_(weights)
    bias_stand_ins = _put_stand_ins_(biases)
    example, maker = context.data.training_inputs(2), context.model.build
    model = float_model(network, example, maker=maker)
    graph = GraphEditor(model.graph)
    if not all(graph.holds(name, values) for name, values in bias_stand_ins.items()):
        for name, bias in biases.items():  # the exporter has computed with them
            bias.data = state.weights[name]
        model = float_model(network, example, maker=maker)
        graph = GraphEditor(model.graph)
    for name in biases:
        graph.replace_bias(name, state.weights[name])
    for layer, stand_in in stand_ins.items():
        graph.replace_weight(layer, stand_in, state.weights[f"{layer}.weight"])
    for layer in layers:  # in the network's order: a state out of the cache has another
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
    _free_(network)
    return content


def _put_stand_ins_(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give each of `parameters`, in place, values like no others, and return them by name.

    The exporter makes one of equal tensors, and two layers may well both be pruned to zeros.
    """
    generator = torch.Generator().manual_seed(len(parameters))
    stand_ins = {}
    for name, parameter in parameters.items():
        parameter.data = torch.rand(parameter.shape, generator=generator)
        stand_ins[name] = parameter.data
    return stand_ins


def _free_(network: nn.Module) -> None:
    """Give up the weights of `network`, in place, which is of no use any more.

    onnxscript's rules remember the last graph that they rewrote: 233 MB of AlexNet.
    """
    for parameter in network.parameters():
        parameter.data = parameter.data.new_empty(0)


def _raise_opset_(model: ModelProto, opset: int) -> None:
    """Declare at least `opset`, in place; the operators used here mean the same in all of them."""
    for imported in model.opset_import:
        if imported.domain == "" and imported.version < opset:
            imported.version = opset
            model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([imported]))
