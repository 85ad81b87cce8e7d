"""Accuracy of a network in memory: a guide during a search, never a result."""

import torch
from torch import nn

from models.data_source import DataSource, Part


def network_accuracy_pct(network: nn.Module, data: DataSource, part: Part) -> float:
    """Return the percentage of inputs of `part` that `network` gets right.

    The network computes where it is and is left in the mode that it was in; results that are
    reported come from the file instead, by `objectives.artifact.measure`.

    Args:
        network: Takes inputs (N, ...), returns logits (N, classes).
        data: Set up already.
        part: The part to evaluate on.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    correct, count = 0, 0
    with torch.no_grad():
        for inputs, labels in data.batches(part):
            logits = network(inputs.to(device))
            correct += int((logits.argmax(dim=1).cpu() == labels).sum())
            count += len(labels)
    network.train(was_training)
    return 100 * correct / count
