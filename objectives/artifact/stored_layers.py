"""What each layer takes of an ONNX file."""

from dataclasses import dataclass

from onnx import ModelProto

from objectives.artifact.kernels import kernel_of
from objectives.artifact.measure import count_weights
from objectives.artifact.sizes import gzip_bytes
from objectives.artifact.stored_weights import StoredWeights
from objectives.network.value_graph import ValueGraph


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLayer:
    """One layer of a file."""

    name: str
    nonzero: int
    """Weights that are not stored as zero."""
    weights: int
    """All weights."""
    size_bytes: int
    """Of its tensors in the file: weight, bias, scales, codebook."""
    gzip_bytes: int
    """Of the same after gzip, alone."""
    kernel: str
    """What ONNX Runtime computes it on; "" of an embedding. See `objectives.artifact.kernels`."""


def stored_layers(model: ModelProto) -> list[StoredLayer]:
    """Return the layers that have weights, in the order of the file's nodes."""
    graph = ValueGraph(model.graph)
    stored_weights = StoredWeights(model.graph)
    kernels: dict[str, str] = {}
    for node in model.graph.node:
        stored = stored_weights.weight_of(node)
        if stored is not None and node.op_type != "Gather":
            kernels[stored.tensor.name] = kernel_of(node, graph)
    layers = []
    for weight, (nonzero, total) in count_weights(model).items():
        name = weight.removesuffix(".weight")
        content = b"".join(
            tensor.SerializeToString(deterministic=True)
            for tensor in model.graph.initializer
            if tensor.name.startswith(f"{name}.")
        )
        layers.append(
            StoredLayer(
                name=name,
                nonzero=nonzero,
                weights=total,
                size_bytes=len(content),
                gzip_bytes=gzip_bytes(content),
                kernel=kernels.get(weight, ""),
            )
        )
    return layers
