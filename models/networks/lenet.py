"""LeNet-300-100 (266,610 parameters) and LeNet-5 as Caffe has it (431,080 parameters).

The networks of Han et al. 2015, arXiv:1506.02626, and of most papers on pruning since.
"""

from torch import Tensor, nn

from models.registry import MODELS, ModelSpec


class LeNet300(nn.Sequential):
    """Dense 300, dense 100, dense classes."""

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        channels, height, width = input_shape
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * height * width, 300),
            nn.ReLU(),
            nn.Linear(300, 100),
            nn.ReLU(),
            nn.Linear(100, num_classes),
        )


class LeNet5(nn.Module):
    """Conv 20 @ 5x5, pool, conv 50 @ 5x5, pool, dense 500, ReLU, dense classes.

    Source: Caffe's examples/mnist/lenet_train_test.prototxt.
    """

    def __init__(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        height, width = (((side - 4) // 2 - 4) // 2 for side in (height, width))
        self.dense1 = nn.Linear(50 * height * width, 500)
        self.dense2 = nn.Linear(500, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (N, classes) of float32 pixels (N, C, H, W) in [0, 1]."""
        features = self.pool(self.conv2(self.pool(self.conv1(pixels))))
        logits: Tensor = self.dense2(self.relu(self.dense1(self.flatten(features))))
        return logits


for name, network in (("lenet300", LeNet300), ("lenet5", LeNet5)):
    MODELS.add(
        name,
        ModelSpec(
            build=network,
            data="mnist",
            epochs=12,
            qat_epochs=2,
            batch_size=128,
            lr=1e-3,
            exports=True,
        ),
    )
