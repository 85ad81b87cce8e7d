"""What MobileNetV3 takes with nothing in floats: `python -m benchmarks.hard_swish`.

ONNX Runtime has no HardSwish or HardSigmoid on integers. Both can be put together of operators
that it has: relu6(x + 3) / 6 is x quantized with the scale 6/256 and the zero point 128, read with
the scale 1/256 and the zero point 0, as quantizing saturates. A LeakyRelu of slope 1 is how the
runtime goes from integers of one scale to those of another by a table. What is still float, as
pooling of what such an activation gave, gets a scale, too.

Printed are milliseconds of an input of 64 x 64 on one thread, in turn, and what is left in floats.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import GraphProto, ModelProto, helper, numpy_helper
from tabulate import tabulate

from benchmarks.integers import milliseconds_in_turn, optimized_operators, prepared, session
from models.inputs import tensors_of
from objectives.artifact.export import export_onnx
from objectives.stages.quantize import IntegerRule, Quantization

NETWORK = "mobilenet_v3_small"
ACTIVATIONS = {"HardSwish", "HardSigmoid"}
LEFT = {"Mul", "GlobalAveragePool", "Relu"}


def main() -> None:
    """Print the table."""
    context, state = prepared(NETWORK)
    files = {"float32": export_onnx(state, context)}
    rules: dict[str, IntegerRule] = {"fast integers": "fast", "activations floats": "everywhere"}
    for name, rule in rules.items():
        stage = Quantization(
            bits=8, qat_epochs=0, batch_size=64, lr=1e-3, calibration_images=128, integers=rule
        )
        files[name] = export_onnx(stage.apply(state, context), context)
    inputs = tensors_of(context.data.training_inputs(64))[0].numpy()
    model = onnx.load_from_string(files["activations floats"])
    activations_on_integers_(model.graph)
    quantize_what_is_left_(model, inputs)
    files["all integers"] = model.SerializeToString()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{place}.onnx" for place, name in enumerate(files)}
        for name, content in files.items():
            paths[name].write_bytes(content)
        taken = milliseconds_in_turn(
            {name: session(path) for name, path in paths.items()}, inputs[:1]
        )
        rows = [
            {
                "file": name,
                "ms": f"{taken[name]:.3f}",
                "of float32": f"{taken[name] / taken['float32']:.2f}",
                "DequantizeLinear": optimized_operators(path)["DequantizeLinear"],
            }
            for name, path in paths.items()
        ]
    print(tabulate(rows, "keys", "pipe", disable_numparse=True))


def activations_on_integers_(graph: GraphProto) -> None:
    """Put HardSwish and HardSigmoid together of operators on integers."""
    one, zero = _constants(graph, "one", 1 / 256, 0)
    six, middle = _constants(graph, "six", 6 / 256, 128)
    nodes = []
    for node in graph.node:
        if node.op_type not in ACTIVATIONS:
            nodes.append(node)
            continue
        given, (made,) = node.input[0], node.output
        is_swish = node.op_type == "HardSwish"
        gate = f"{made}.gate" if is_swish else made
        nodes += [
            helper.make_node("LeakyRelu", [given], [f"{made}.moved"], alpha=1.0),
            helper.make_node("QuantizeLinear", [f"{made}.moved", six, middle], [f"{made}.gated"]),
            helper.make_node("DequantizeLinear", [f"{made}.gated", one, zero], [gate]),
        ]
        if is_swish:
            nodes.append(helper.make_node("Mul", [given, gate], [made]))
    del graph.node[:]
    graph.node.extend(nodes)


def quantize_what_is_left_(model: ModelProto, inputs: np.ndarray) -> None:
    """Give a scale to what operators give that could be on integers and is in floats."""
    quantized = {
        name
        for node in model.graph.node
        if node.op_type == "QuantizeLinear"
        for name in node.input
    }
    left = [
        node.output[0]
        for node in model.graph.node
        if node.op_type in LEFT and node.output[0] not in quantized
    ]
    watched = ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in left)
    runner = onnxruntime.InferenceSession(watched.SerializeToString())
    seen = dict(zip(left, runner.run(left, {runner.get_inputs()[0].name: inputs}), strict=True))
    nodes = []
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name in seen:
                node.input[place] = f"{name}.read"
        nodes.append(node)
        if node.output[0] in seen:
            (name,) = node.output
            low, high = min(0.0, float(seen[name].min())), float(seen[name].max())
            scale = (high - low) / 255
            stored = _constants(model.graph, name, scale, round(-low / scale))
            nodes += [
                helper.make_node("QuantizeLinear", [name, *stored], [f"{name}.stored"]),
                helper.make_node(
                    "DequantizeLinear", [f"{name}.stored", *stored], [f"{name}.read"]
                ),
            ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _constants(graph: GraphProto, name: str, scale: float, zero_point: int) -> tuple[str, str]:
    names = (f"{name}.scale", f"{name}.zero_point")
    values = (np.float32(scale), np.uint8(zero_point))
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), each)
        for each, value in zip(names, values, strict=True)
    )
    return names


if __name__ == "__main__":
    main()
