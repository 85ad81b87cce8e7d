"""What is done to pixels: scaling, resizing, random changes, statistics."""

import torch
from torch import Tensor
from torch.nn import functional

CROP_SHARE = 8
"""A random crop moves an image by up to 1/8 of its side, as is usual for CIFAR's 32 pixels."""
SHIFT_SHARE = 28
"""A random shift moves an image by up to 1/28 of its side: one pixel of MNIST."""


def to_pixels(images: Tensor) -> Tensor:
    """Return uint8 `images` as float32 in [0, 1]: what every network and artifact takes."""
    return images.to(torch.float32).div_(255)


def resize(pixels: Tensor, size: int | None) -> Tensor:
    """Return `pixels` (N, C, H, W) with height and width `size`; None leaves them."""
    if size is None or pixels.shape[2:] == (size, size):
        return pixels
    return functional.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def crop_and_flip(images: Tensor, *, share: int = CROP_SHARE, flip: bool = True) -> Tensor:
    """Return `images` (N, C, H, W), each moved by up to 1/share and, by chance, mirrored.

    What comes in at the edges is mirrored. Draws from torch's global generator of the device.
    """
    count, _, height, width = images.shape
    device = images.device
    pad = max(1, height // share), max(1, width // share)
    padding = (pad[1], pad[1], pad[0], pad[0])
    padded = functional.pad(images.float(), padding, mode="reflect").to(images.dtype)
    top, left = (torch.randint(0, 2 * side + 1, (count, 1), device=device) for side in pad)
    rows = torch.arange(height, device=device) + top  # (N, H)
    columns = torch.arange(width, device=device) + left  # (N, W)
    if flip:
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    image = torch.arange(count, device=device).view(-1, 1, 1)
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation (C,) of the pixels in [0, 1] of uint8 (N, C, H, W)."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack(
        [channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]
    )
    share = counts.double() / counts.sum(1, keepdim=True)  # (C, 256)
    mean = share @ levels
    variance = share @ levels**2 - mean**2
    return mean.float(), variance.clamp(min=1e-6).sqrt().float()
