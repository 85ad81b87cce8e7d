"""Batch norms behind layers, in each way that there is to write them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.conformance.registry import network


@network
class Residual(nn.Module):
    """residual block: batch norms, a depthwise convolution, an addition."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(1, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.first, self.first_norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.stem_norm(self.stem(x)))
        x = functional.relu(x + self.first_norm(self.first(x)))
        x = functional.relu6(self.depthwise_norm(self.depthwise(x)))
        return self.head(self.pointwise(x).mean((2, 3)))


@network
class Guarded(nn.Module):
    """shape check: torch.fx cannot follow it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(1, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.second, self.second_norm = nn.Conv2d(8, 16, 3, 2, bias=False), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if x.shape[-1] != 32:
            raise ValueError("32 pixels are wanted")
        if mask is not None:
            x = x * mask
        x = functional.relu(self.first_norm(self.first(x)))
        x = functional.relu(self.second_norm(input=self.second(x)))
        return self.head(x.amax((2, 3)))


class SameConv(nn.Conv2d):
    """A convolution that pads by itself, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class NormAndRelu(nn.BatchNorm2d):
    """A batch norm that has an activation, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).relu()


@network
class OwnLayers(nn.Module):
    """subclasses: of a convolution that pads, of a batch norm with an activation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_norm = SameConv(1, 8, 3, 2, bias=False), NormAndRelu(8)
        self.second, self.second_norm = SameConv(8, 16, 3, 2), NormAndRelu(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second_norm(self.second(self.first_norm(self.first(x))))
        return self.head(x.mean((2, 3)))


@network
class FunctionalNorm(nn.Module):
    """functional norm: F.batch_norm with numbers of the network's own, and F.conv2d."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, 2, bias=False)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("variance", torch.ones(8))
        self.scale, self.shift = nn.Parameter(torch.ones(8)), nn.Parameter(torch.zeros(8))
        self.second, self.norm = nn.Conv2d(8, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = functional.batch_norm(
            x, self.mean, self.variance, self.scale, self.shift, self.training
        )
        x = self.norm(functional.conv2d(x.relu(), self.second.weight, stride=2))
        return self.head(x.relu().amax((2, 3)))


@network
class DenseNorm(nn.Module):
    """dense norm: dense layers with BatchNorm1d, on (N, C) and on (N, C, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.rows_norm = nn.Linear(32, 16), nn.BatchNorm1d(32)
        self.body, self.body_norm = nn.Linear(16, 24, bias=False), nn.BatchNorm1d(24, affine=False)
        self.head = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.rows_norm(self.rows(x.squeeze(1))).relu().mean(1)
        return self.head(self.body_norm(self.body(x)).relu())
