r"""How much the answers of a network suffer from errors of its weights.

Notation: z (n,) the answers to an input, sigma their standard deviation over inputs, w a weight.
With all weights off by a little, independently and by d on average, the answers are off by

    E ||dz||^2 / (n sigma^2) = sum over w of F_w d_w^2                           (Eq. 1)
    F_w = E ||dz / dw||^2 / (n sigma^2)

F is the diagonal of the Gauss-Newton matrix of the answers' squared error. It is estimated by
v^T dz / dw with v random, of independent normal numbers: the square has this mean, and of the sum
over the inputs of a batch, whose v are independent, it has the sum of the means.

No label and no loss is needed, so that it holds for every task. With the loss's own curvature
(Fisher's matrix) a network that is sure of all its training inputs seems to bear anything: of
LeNet-5 on MNIST all weights of the largest layer were then rounded to 0.

Source: Martens 2020, arXiv:1412.1193, sections 8 and 9; Hutchinson's estimate as in Dong et al.
2020, arXiv:1911.03852.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.inputs import Given, ask

INPUTS_AT_ONCE = 16
"""The squares of few inputs are many, and their mean less noisy."""


def curvature(
    network: nn.Module, tensors: Mapping[str, nn.Parameter], inputs: Given
) -> dict[str, Tensor]:
    """Return F of each of `tensors`, shaped like it; 0 where no answer depends on it.

    Args:
        network: On the CPU, its own: `tensors` are made to have gradients.
        tensors: Of the network, by any names.
        inputs: N of them.
    """
    network.eval()
    batches = inputs.split(INPUTS_AT_ONCE)
    with torch.no_grad():
        answers = torch.cat([ask(network, batch) for batch in batches])
    scale = float(answers.std()) if answers.numel() > 1 else 0.0
    unit = (scale or 1.0) * answers[0].numel() ** 0.5
    asked = {name: tensor.requires_grad_(True) for name, tensor in tensors.items()}
    totals = {name: torch.zeros_like(tensor) for name, tensor in asked.items()}
    generator = torch.Generator().manual_seed(0)
    for batch in batches:
        answers = ask(network, batch)
        direction = torch.randn(answers.shape, generator=generator) / unit
        found = torch.autograd.grad(answers, list(asked.values()), direction, allow_unused=True)
        for name, gradient in zip(asked, found, strict=True):
            if gradient is not None:
                totals[name] += gradient.square()
    return {name: total / len(inputs) for name, total in totals.items()}
