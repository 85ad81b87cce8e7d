"""Weights that are computed, layers that are lazy, idle or dead."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from benchmarks.conformance.registry import network


@network
class Normed(nn.Module):
    """weight norm: of a dense layer and a convolution, spectral norm, both old forms."""

    def __init__(self) -> None:
        super().__init__()
        self.first = parametrizations.weight_norm(nn.Conv2d(1, 8, 3, 2))
        self.second = parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, 2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.third = nn.utils.weight_norm(nn.Linear(8, 16))
            self.fourth = nn.utils.spectral_norm(nn.Linear(16, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu().mean((2, 3))
        return self.head(self.fourth(self.third(x).relu()).relu())


@network
class Lazy(nn.Module):
    """lazy layers: that look at their first inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(8, 3, 2), nn.LazyBatchNorm2d()
        self.head = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))


@network
class Idle(nn.Module):
    """idle layers: that `forward` does not use, and one that only training does."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(1024, 16), nn.Linear(16, 16)
        self.noise, self.head = nn.Linear(16, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.used(x.flatten(1)).relu()
        if self.training:
            x = x + 0.1 * self.noise(x)
        return self.head(x)


@network
class Auxiliary(nn.Module):
    """auxiliary logits: a second answer while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(1024, 16), nn.Linear(16, 10)
        self.auxiliary = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.body(x.flatten(1)).relu()
        if self.training:
            return self.head(x), self.auxiliary(x)
        return self.head(x)


@network
class Dead(nn.Module):
    """dead channels: of zeros, of denormal numbers, of very large ones, equal layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first = nn.Conv2d(1, 8, 3, 2), nn.Linear(8, 8, bias=False)
        self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 10)

    def randomize_(self) -> None:
        with torch.no_grad():
            self.conv.weight[0] = 0
            self.conv.get_parameter("bias")[:2] = 0
            self.conv.weight[1] *= 1e-41
            self.first.weight[2] *= 1e6
            self.second.weight.copy_(self.first.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu().mean((2, 3))
        return self.head(self.second(self.first(x).relu()).relu())


@network
class Experts(nn.Module):
    """mixture of experts: of which some are given no input at all."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.mix = nn.Linear(1024, 16), nn.Linear(16, 16)
        self.experts = nn.ModuleList(nn.Linear(16, 10) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        features = self.gate(x.flatten(1)).tanh()
        chosen = self.mix(features)[:, :4].argmax(1)
        answers = features.new_zeros(len(features), 10)
        for number, expert in enumerate(self.experts):
            mine = chosen == number
            answers[mine] = expert(features[mine])
        return answers
