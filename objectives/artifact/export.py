"""Export: write the file that would be shipped, an ONNX graph in the formats of its layers.

The file has one input `input`, float32 (N, C, H, W) with pixels / 255, N free, and one output
`logits`, float32 (N, classes). Everything in it that no runtime reads is stripped: the exporter's
metadata alone is 2 KB after gzip, as much as a whole CNN at 99 % sparsity.

- float16 layers: weight and bias are stored as float16, a Cast widens them when they are loaded.
- layers of shared weights: codes, and a Gather that looks them up in the layer's codebook.
- integer layers: QuantizeLinear/DequantizeLinear pairs (QDQ) behind what they multiply and what
  they give, and a DequantizeLinear behind the int8 weight and the int32 bias. Runtimes fuse such
  groups to integer kernels; ONNX Runtime does so only where the weight's zero point is given and
  the bias is int32.
- layers of integer weights that multiply floats: integers, widened when the file is opened.
"""

import onnx
from onnx import ModelProto, helper

from models.errors import first_line
from objectives.artifact.agreement import check_answers
from objectives.artifact.graph import GraphEditor
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState


def export_onnx(state: NetworkState, context: Context) -> bytes:
    """Return the artifact: the same bytes for the same state.

    Its answers are those of the network of `state`, see `objectives.artifact.agreement`. The graph
    may have been exported of another state of the same structure, unless this shows a difference.

    Raises:
        MeasurementError: The network cannot be exported, or the file does not answer as it does.
    """
    try:
        content = _written(state, context)
    except onnx.checker.ValidationError as err:  # the exporter's, of an operator that it mistakes
        raise MeasurementError(f"The exporter's file is not ONNX: {first_line(err)}") from err
    try:
        check_answers(content, state, context)
    except MeasurementError:
        context.exported(state, anew=True)
        content = _written(state, context)
        check_answers(content, state, context)
    return content


def _written(state: NetworkState, context: Context) -> bytes:
    """Return the file of `state`, written into the graph of its network."""
    state = context.fold(state)
    layers = context.layers_of(context.network_of(state))
    model = context.graph(state)
    graph = GraphEditor(model.graph, state.weights)
    graph.round_values(dict(sorted(state.activations.items())))  # as for layers, below
    for name, layer in layers.items():  # as ordered there: a state out of the cache has another
        stored = state.formats.get(name)
        if stored is None:
            continue
        if stored.codebook is not None:
            graph.store_as_codes(layer, stored)
        elif stored.weight_scale is None:
            graph.store_as_float16(layer)
        else:
            graph.store_as_integers(layer, stored)
    if state.activations:
        graph.swap_pool_and_relu()
    graph.finish()
    _raise_opset_(model, graph.opset)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _raise_opset_(model: ModelProto, opset: int) -> None:
    """Declare at least `opset`, in place; the operators used here mean the same in all of them."""
    for imported in model.opset_import:
        if imported.domain == "" and imported.version < opset:
            imported.version = opset
            model.ir_version = max(model.ir_version, helper.find_min_ir_version_for([imported]))
