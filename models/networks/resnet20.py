"""ResNet-20 for CIFAR-10: 272,474 trainable parameters.

A convolution of 16 channels, three groups of three blocks of two 3x3 convolutions with 16, 32 and
64 channels, global average pooling, one dense layer. Where a group halves height and width, the
shortcut is a 1x1 convolution (option B of the paper, whose own CIFAR networks pad with zeros).

Source: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", 4.2.
"""

from torch import Tensor, nn
from torch.nn import functional

from models.registry import MODELS, ModelSpec

GROUPS = ((16, 1), (32, 2), (64, 2))
"""Channels and stride of each."""
BLOCKS = 3
"""In each group."""


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return features (N, C_out, H / stride, W / stride)."""
        inner = functional.relu(self.norm1(self.conv1(features)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class ResNet20(nn.Module):
    """Takes images of any size."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        width = GROUPS[0][0]
        self.stem = nn.Sequential(
            nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        blocks = []
        for channels, stride in GROUPS:
            for index in range(BLOCKS):
                blocks.append(Block(width, channels, stride if index == 0 else 1))
                width = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized pixels (N, C, H, W)."""
        logits: Tensor = self.head(self.blocks(self.stem(pixels)).mean((2, 3)))
        return logits


MODELS.add(
    "resnet20",
    ModelSpec(
        build=ResNet20,
        data="cifar10",
        normalize=True,
        epochs=100,
        qat_epochs=2,
        batch_size=128,
        lr=1e-3,
        exports=True,
    ),
)
