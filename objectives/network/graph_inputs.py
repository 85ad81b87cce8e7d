"""The two kinds of inputs of an exported graph: what it is given, and the network's state."""

from onnx import GraphProto, ValueInfoProto

STATE = "state"
"""What the doc string of a tensor of the network's state says."""


def given_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Return what a file of the graph is given."""
    return [value for value in graph.input if value.doc_string != STATE]


def state_inputs(graph: GraphProto) -> list[ValueInfoProto]:
    """Return the tensors of the network's state that the graph reads."""
    return [value for value in graph.input if value.doc_string == STATE]
