"""Whoever reads a weight reads what stands in its place, and nothing has another name."""

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.nn import functional
from toys import FewDigits, toy_context, toy_plan

from models.layers import compressible_layers
from models.registry import ModelSpec
from objectives.network.state import NetworkState
from objectives.network.substitution import substitute_, substitute_for_good_, substituted


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class Tied(nn.Module):
    """A weight that its layer, another and the network itself read."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
        self.out.weight = self.words.weight
        self.attend = nn.MultiheadAttention(3, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [
            self.words(x),
            self.out(torch.ones(3)),
            functional.linear(torch.ones(3), self.words.weight),
        ]


def test_all_readers_of_a_weight_read_it_and_no_name_changes() -> None:
    network = Tied()
    names = list(network.state_dict())
    layers = compressible_layers(network)
    assert list(layers) == ["words", "attend.in_proj", "attend.out_proj"]
    assert layers["words"].is_tied
    word = torch.tensor(2)
    before = network(word)
    substitute_(layers["words"], Doubled())
    assert all(torch.equal(b, 2 * a) for a, b in zip(before, network(word), strict=True))
    assert list(network.state_dict()) == names
    assert torch.equal(substituted(layers["words"]), 2 * layers["words"].weight)
    assert type(network.out).__name__ == "Linear"
    network(word)[2].sum().backward()
    assert layers["words"].weight.grad.unique().tolist() == [2]
    substitute_for_good_(layers["words"])
    assert all(torch.equal(b, 2 * a) for a, b in zip(before, network(word), strict=True))
    assert type(network.out) is nn.Linear
    assert network.out.weight is network.words.weight


def test_an_attention_has_two_weights_that_are_replaced_apart() -> None:
    attend = nn.MultiheadAttention(4, 2, kdim=6)
    layers = compressible_layers(attend)
    assert list(layers) == ["q_proj", "k_proj", "v_proj", "out_proj"]
    for name in ("q_proj", "k_proj"):
        substitute_(layers[name], Doubled())
    assert torch.equal(attend.q_proj_weight, 2 * layers["q_proj"].weight)
    assert attend.v_proj_weight is layers["v_proj"].weight
    substitute_for_good_(layers["q_proj"])
    assert torch.equal(attend.k_proj_weight, 2 * layers["k_proj"].weight)
    substitute_for_good_(layers["k_proj"])
    assert type(attend) is nn.MultiheadAttention


class Grouping(LightningModule):
    """Groups its parameters by name and type as minGPT does, and misses none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(784, 16), nn.Linear(16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.first(pixels.flatten(1)).relu())

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = dict(self.named_parameters())
        decayed = {name for name in parameters if name.endswith("weight")}
        others = {name for name in parameters if name.endswith("bias")}
        assert decayed | others == parameters.keys()
        groups = [
            {"params": [parameters[name] for name in sorted(decayed)], "weight_decay": 0.1},
            {"params": [parameters[name] for name in sorted(others)], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=1e-3)


@pytest.mark.parametrize("bits", [8, 3])
def test_an_optimizer_that_groups_by_name_finds_its_names_and_learns_the_scales(
    bits: int, digits: FewDigits
) -> None:
    context = toy_context(digits, model=ModelSpec(build=lambda *_: Grouping(), data="own"))
    state = toy_plan().train.apply(NetworkState(weights={}), context)
    rounded, trained = (
        toy_plan(0, bits, qat_epochs=epochs).get("quantize").apply(state, context)
        for epochs in (0, 1)
    )
    for layer, stored in trained.formats.items():
        assert not torch.equal(stored.weight_scale, rounded.formats[layer].weight_scale)
