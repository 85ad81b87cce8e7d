from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from objectives.network.values import Values
from objectives.training.layer_inputs import input_means_and_covariances, input_moments

INPUTS = torch.randn(40, 4, 9, 7, generator=torch.Generator().manual_seed(0))


def moments_of(network: nn.Module, calls: Sequence[str], inputs: Tensor, block: int) -> Tensor:
    """Of the layer "0", which multiplies what these calls give."""
    values = Values(calls={"taken": tuple(calls)}, shapes={})
    return input_moments(network, values, {"0": ["taken"]}, inputs, {"0": block})["0"]


@pytest.mark.parametrize("block", [3, 6, 12])
@pytest.mark.parametrize("mode", ["zeros", "reflect"])
def test_moments_of_a_convolution_are_those_of_its_unfolded_input(mode: str, block: int) -> None:
    settings = {"kernel_size": (3, 2), "stride": 2, "padding": (1, 2), "dilation": (2, 1)}
    layer = nn.Conv2d(4, 6, groups=2, padding_mode=mode, **settings)
    call = "input" if mode == "zeros" else "0>pad:0"
    moments = moments_of(nn.Sequential(layer), [call], INPUTS, block)
    kind = "constant" if mode == "zeros" else mode
    padded = nn.functional.pad(INPUTS, (2, 2, 1, 1), mode=kind)
    patches = nn.functional.unfold(padded, (3, 2), dilation=(2, 1), stride=2)
    x = patches.transpose(1, 2).reshape(-1, block)
    assert torch.allclose(moments, x.T @ x / len(x), atol=1e-5)


def test_moments_of_a_dense_layer_by_hand() -> None:
    """The blocks are (1, 2), (3, 4), (0, 0) and (1, -1)."""
    inputs = torch.tensor([[1.0, 2, 3, 4], [0, 0, 1, -1]])
    moments = moments_of(nn.Sequential(nn.Linear(4, 2)), ["input"], inputs, 2)
    assert moments.tolist() == [[11 / 4, 13 / 4], [13 / 4, 21 / 4]]


def test_covariances_of_nearly_constant_inputs_are_none_of_rounding() -> None:
    inputs = 1000 + INPUTS[:, :, 0, 0] * 1e-3
    values = Values(calls={"taken": ("input",)}, shapes={})
    network = nn.Sequential(nn.Linear(4, 2))
    found = input_means_and_covariances(network, values, {"0": ["taken"]}, inputs, {"0": 4})
    mean, covariance = found["0"]
    assert torch.allclose(mean, inputs.mean(0))
    assert torch.allclose(covariance, inputs.double().T.cov(correction=0).float(), rtol=1e-3)
    assert (torch.linalg.eigvalsh(covariance.double()) > 0).all()
