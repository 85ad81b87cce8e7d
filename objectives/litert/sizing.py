"""A file for one input: the shapes of all values, and what follows from shapes, computed."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import onnxruntime
from onnx import ModelProto, TensorProto, helper

KNOWN_SHAPES = {TensorProto.INT64, TensorProto.BOOL}
"""Constants of such types are shapes, axes and masks: what follows from them is computed
first; so are the factors of a Resize."""


def sized(model: ModelProto, shapes: Mapping[str, Sequence[int]]) -> ModelProto:
    """Return the model for inputs of such shapes, all that follows from shapes computed."""
    graph = model.graph
    for value in graph.input:
        for dim, side in zip(value.type.tensor_type.shape.dim, shapes[value.name], strict=True):
            dim.dim_value = side
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    factors = {name for node in graph.node if node.op_type == "Resize" for name in node.input[2:]}
    kept = {
        tensor.name: TensorProto.FromString(tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.data_type not in KNOWN_SHAPES and tensor.name not in factors
    }
    few = [
        TensorProto.FromString(tensor.SerializeToString())
        for tensor in graph.initializer
        if tensor.name not in kept
    ]
    graph.ClearField("initializer")
    graph.initializer.extend(few)
    graph.input.extend(
        helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
        for name, tensor in kept.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "sized.onnx")
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("session.disable_aot_function_inlining", "1")
        options.log_severity_level = 4
        providers = ["CPUExecutionProvider"]
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=providers)
        found = onnx.load(options.optimized_model_filepath)
    inferred = onnx.shape_inference.infer_shapes(found, data_prop=True)
    whole = inferred.graph
    given = [value for value in whole.input if value.name not in kept]
    copied = [type(value).FromString(value.SerializeToString()) for value in given]
    infos = [value for value in whole.input if value.name in kept]
    whole.value_info.extend(infos)
    whole.ClearField("input")
    whole.input.extend(copied)
    whole.initializer.extend(kept.values())
    return inferred
