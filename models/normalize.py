"""Normalization inside the network, so that the shipped file has it too."""

from torch import Tensor, nn


class Normalized(nn.Module):
    """A network behind (pixels - mean) / std per channel."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.view(-1, 1, 1), persistent=False)
        self.register_buffer("inverse_std", 1 / std.view(-1, 1, 1), persistent=False)
        self.mean: Tensor
        self.inverse_std: Tensor
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the network's logits (N, classes) of pixels (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.network((pixels - self.mean) * self.inverse_std)
        return logits
