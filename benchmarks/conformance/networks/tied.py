"""Weights that are shared or tied."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.conformance.registry import network


@network
class TiedAutoencoder(nn.Module):
    """tied autoencoder: the decoder is the encoder's weight, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(1024, 32), nn.Linear(1024 + 32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        code = self.encoder(x).relu()
        back = functional.linear(code, self.encoder.weight.t())
        return self.head(torch.cat([x - back, code], 1))


@network
class TiedWords(nn.Module):
    """tied words: out.weight = words.weight, on a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.mix = nn.Embedding(16, 24), nn.Linear(24, 24)
        self.out, self.head = nn.Linear(24, 16, bias=False), nn.Linear(16, 10)
        self.out.weight = self.words.weight

    def forward(self, x: Tensor) -> Tensor:
        words = (x[:, 0, ::4, ::4].flatten(1) * 15).long()
        z = self.mix(self.words(words)).tanh()
        return self.head(self.out(z + z.mean(1, keepdim=True)).relu().amax(1))


@network
class SharedDense(nn.Module):
    """shared dense: one layer on (N, T, C) and on (N, C), and under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(32, 32)
        self.same, self.head = self.one, nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.one(x.squeeze(1)).relu()
        return self.head(self.same(rows.mean(1)).relu())


@network
class CalledTwice(nn.Module):
    """called twice: on one input, which the exporter computes once, and for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1024, 32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        self.second(self.first(x))
        difference = self.first(x).relu() - self.first(x).neg().relu()
        return self.second(difference + torch.zeros_like(self.first(-x)))


@network
class InPlace(nn.Module):
    """in place: changes what it is given."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.13]).expand(32))
        self.conv, self.dense = nn.Conv2d(1, 8, 3, 2), nn.Linear(8 * 15 * 15, 10)

    def forward(self, x: Tensor) -> Tensor:
        x -= self.mean
        x /= 0.3
        return self.dense(self.conv(x).relu_().flatten(1))


@network
class Reused(nn.Module):
    """weight reused: functionally, on inputs of another range."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.head = nn.Linear(32, 16), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.squeeze(1)
        other = functional.linear(20 * rows - 10, self.dense.weight)
        return self.head(torch.cat([self.dense(rows), other], -1).relu().mean(1))
