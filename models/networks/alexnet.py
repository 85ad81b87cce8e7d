"""The paper's AlexNet for CIFAR-10, with batch normalization: 58,325,066 trainable parameters.

Conv 96 @ 11x11/4, 256 @ 5x5, 384 @ 3x3, 384 @ 3x3, 256 @ 3x3, dense 4096, 4096, classes; with the
2,752 running statistics that Keras counts, 58,327,818 at 227x227 and ten classes, as the paper's.

Source: Krizhevsky, Sutskever, Hinton 2012; sizes as in "An Evaluation of Model Compression &
Optimization Combinations".
"""

from torch import Tensor, nn

from models.checks import require
from models.registry import MODELS, ModelSpec

SMALLEST_INPUT = 67
"""Below, the third pooling has nothing left."""


def _block(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class AlexNet(nn.Module):
    """Five convolutions with batch normalization, three dense layers with dropout.

    The last feature map is pooled adaptively to 6x6, which at 227 changes nothing, so that other
    input sizes keep the parameters.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        require(
            min(height, width) >= SMALLEST_INPUT,
            f"input_size >= {SMALLEST_INPUT}",
            input_size=min(height, width),
        )
        self.features = nn.Sequential(
            *_block(channels, 96, 11, stride=4),
            nn.MaxPool2d(3, stride=2),
            *_block(96, 256, 5, padding=2),
            nn.MaxPool2d(3, stride=2),
            *_block(256, 384, 3, padding=1),
            *_block(384, 384, 3, padding=1),
            *_block(384, 256, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
        )
        self.pool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(0.5),
            nn.Linear(4096, num_classes),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes) of normalized pixels (N, C, H, W)."""
        logits: Tensor = self.classifier(self.pool(self.features(pixels)))
        return logits


MODELS.add(
    "alexnet",
    ModelSpec(
        build=AlexNet,
        data="cifar10",
        input_size=227,
        normalize=True,
        epochs=12,
        qat_epochs=2,
        batch_size=128,
        lr=1e-4,
        exports=True,
        paper_table="alexnet_cifar10",
    ),
)
