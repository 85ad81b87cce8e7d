r"""Steps of integers that are equally dear to the answers, whichever layer's weights they round.

With n weights in all and c_l the mean curvature of those of layer l
(`objectives.training.curvature`), c_l s_l^2 is equal for all steps s_l where

    s_l = noise * sqrt(12 / (n c_l))                                             (Eq. 1)

as an error within a step has the mean square s^2 / 12: `noise` is how far rounding moves the
answers, in their standard deviations, if the errors are independent.

The equation is numbered here. Source: reverse water-filling, as in Gish & Pierce 1968,
"Asymptotically efficient quantizing".
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.inputs import Given
from models.layers import Layer
from objectives.training.curvature import curvature
from objectives.training.fake_quantize import SMALLEST_SCALE
from objectives.training.rate import MOST_LEVELS

BIAS_SHARE = 0.25
"""Steps of biases, which are rounded after the training, are so much finer than the weights'."""
STEP_BITS = 8
"""A coder is spared the others: a two hundredth of a step decides nothing."""


def curvatures(
    network: nn.Module, layers: Mapping[str, Layer], images: Given
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the curvature of each layer's weight, (C_out, n), and of its bias, by layer."""
    weights = {f"{name}.weight": layer.weight for name, layer in layers.items()}
    biases = {
        f"{name}.bias": layer.bias for name, layer in layers.items() if layer.bias is not None
    }
    found = curvature(network, weights | biases, images)
    return (
        {name: found[f"{name}.weight"].flatten(1) for name in layers},
        {name: found[f"{name}.bias"] for name in layers if f"{name}.bias" in found},
    )


def chosen_steps(
    layers: Mapping[str, Layer], dear: Mapping[str, Tensor], noise: float
) -> dict[str, Tensor]:
    """Return the step of each layer, (), by Eq. 1; it can be as many as int8 has at most.

    A layer that answers do not depend on, or hardly, keeps one step for its largest weight.
    """
    total = sum(each.numel() for each in dear.values())
    steps = {}
    for name, layer in layers.items():
        largest = float(layer.weight.detach().abs().max())
        mean = float(dear[name].double().mean())
        wanted = noise * math.sqrt(12 / (total * mean)) if mean > 0 else math.inf
        step = min(max(wanted, largest / MOST_LEVELS), largest)
        steps[name] = torch.tensor(step if step > SMALLEST_SCALE else 1.0)
    return steps


def shortened(step: float) -> float:
    """Return `step` rounded to `STEP_BITS` significant bits: it is stored as float32."""
    mantissa, exponent = math.frexp(step)
    return math.ldexp(round(mantissa * 2**STEP_BITS), exponent - STEP_BITS)


def shorten_step_(layer: Layer, step: float) -> float:
    """Return `step` in few bits, and put the weight on its grid, in place."""
    short = shortened(step)
    layer.weight.data = (layer.weight.detach() / step).round() * short
    return short


def bias_step(step: float, of_weight: Tensor, of_bias: Tensor | None) -> float:
    """Return the step of a bias that is as dear as `BIAS_SHARE` of the weight's, in few bits."""
    if of_bias is None or not float(of_bias.mean()) > 0:
        return 0.0
    share = BIAS_SHARE * math.sqrt(float(of_weight.mean()) / float(of_bias.mean()))
    return shortened(share * step)
