import torch
from torch import nn

from objectives.training.curvature import curvature


def test_curvature_of_a_dense_layer_is_the_square_of_its_inputs() -> None:
    network = nn.Sequential(nn.Linear(6, 4))
    inputs = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(6)
    with torch.no_grad():
        variance = float(network(inputs).std() ** 2)
    found = curvature(network, {"weight": network[0].weight}, inputs)["weight"]
    expected = inputs.square().mean(0) / (4 * variance)
    assert torch.allclose(found.mean(0), expected, rtol=0.15, atol=1e-6)


def test_it_foretells_how_far_answers_move() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 5))
    inputs = torch.randn(500, 20)
    parameters = dict(network.named_parameters())
    found = curvature(network, parameters, inputs)
    off, foretold = 1e-3, 0.0
    with torch.no_grad():
        before = network(inputs)
        for name, parameter in parameters.items():
            foretold += float(found[name].sum()) * off**2
            parameter.add_(off * torch.randn_like(parameter))
        moved = (network(inputs) - before).square().mean() / before.var()
    assert 0.7 < float(moved) / foretold < 1.4


def test_what_answers_do_not_depend_on_has_none_and_frozen_weights_have_some() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(3, 2), nn.Linear(3, 2)
            self.used.weight.requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x)

    network = Unused()
    found = curvature(network, dict(network.named_parameters()), torch.randn(50, 3))
    assert (found["used.weight"] > 0).all()
    assert not found["unused.weight"].any()
