"""ResNet-8 for CIFAR-10: 78,186 trainable parameters, 12.5 million multiplications.

A convolution of 16 channels, three blocks of two 3x3 convolutions with 16, 32 and 64 channels,
global average pooling, one dense layer. Where a block halves height and width, its shortcut is a
1x1 convolution without a norm. Every convolution has a bias.

Source: Banbury et al. 2021, "MLPerf Tiny Benchmark", arXiv:2106.07597, table 1 (image
classification): its reference counts 78,666, with the means and variances of 240 channels.
"""

from torch import Tensor, nn
from torch.nn import functional

from models.registry import MODELS, ModelSpec

BLOCKS = ((16, 1), (32, 2), (64, 2))
"""Channels and stride of each."""


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C_out, H / stride, W / stride)."""
        inner = functional.relu(self.norm1(self.conv1(features)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class ResNet8(nn.Module):
    """Takes images of any size."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        width = BLOCKS[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks = []
        for channels, stride in BLOCKS:
            blocks.append(Block(width, channels, stride))
            width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized pixels (N, C, H, W)."""
        logits: Tensor = self.head(self.blocks(self.stem(pixels)).mean((2, 3)))
        return logits


MODELS.add(
    "resnet8",
    ModelSpec(
        build=ResNet8,
        data="cifar10",
        normalize=True,
        epochs=100,
        qat_epochs=2,
        batch_size=128,
        lr=1e-3,
        exports=True,
    ),
)
