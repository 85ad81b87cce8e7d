"""What a network in memory is worth: a guide during a search, never a result."""

from torch import nn

from models.data_source import Part
from objectives.context import Context


def network_worth(network: nn.Module, context: Context, part: Part) -> float:
    """Return the score of `network` on a part, turned so that more is better.

    The network computes where it is and is left in the mode that it was in; results that are
    reported come from the file instead, by `objectives.artifact.measure`.

    Raises:
        MeasurementError: What it answers cannot be scored.
    """
    was_training = network.training
    value = context.score.of_network(network.eval(), context.data, part)
    network.train(was_training)
    return context.score.worth(value)
