"""Channels that move: permuted, shuffled, cut in two."""

import torch
from torch import Tensor, nn

from benchmarks.conformance.registry import network


@network
class PermuteFlatten(nn.Module):
    """permute and flatten: channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 5, stride=4), nn.Linear(8 * 49, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu().permute(0, 2, 3, 1).flatten(1))


@network
class Shuffle(nn.Module):
    """channel shuffle: nn.ChannelShuffle and its form with views."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, 2), nn.Conv2d(8, 8, 3, 2, groups=2)
        self.third, self.head = nn.Conv2d(8, 16, 3), nn.Linear(16, 10)
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.shuffle(self.first(x).relu())).relu()
        n, _, h, w = x.shape
        x = x.view(n, 2, 4, h, w).transpose(1, 2).reshape(n, 8, h, w)
        return self.head(self.third(x).relu().mean((2, 3)))


@network
class Chunked(nn.Module):
    """chunk: a gated convolution, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, 2), nn.Conv2d(8, 8, 3, 2)
        self.other, self.head = nn.Conv2d(8, 4, 3, 2), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.first(x).chunk(2, dim=1)
        x = values * gate.sigmoid()
        return self.head(torch.cat([self.second(x), self.other(x)], 1).relu().mean((2, 3)))
