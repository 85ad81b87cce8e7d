import torch
from torch.nn import functional

from models.pixels import channel_statistics, crop_and_flip, resize, to_pixels


def test_pixels_are_in_0_to_1() -> None:
    pixels = to_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert pixels.dtype == torch.float32
    assert pixels.tolist() == [0.0, torch.tensor(0.2).item(), 1.0]


def test_resizing_keeps_what_has_the_size_and_the_mean_of_what_has_not() -> None:
    pixels = torch.rand(2, 3, 32, 32)
    assert resize(pixels, None) is pixels
    assert resize(pixels, 32) is pixels
    assert resize(pixels, 67).shape == (2, 3, 67, 67)
    assert torch.allclose(resize(pixels, 67).mean(), pixels.mean(), atol=0.01)


def test_crop_and_flip_moves_and_mirrors_whole_images() -> None:
    image = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    padded = functional.pad(image.float(), (1, 1, 1, 1), mode="reflect").to(torch.uint8)
    windows = [
        padded[:, :, top : top + 8, left : left + 8] for top in range(3) for left in range(3)
    ]
    possible = {tuple(w.flatten().tolist()) for w in windows}
    possible |= {tuple(w.flip(3).flatten().tolist()) for w in windows}
    torch.manual_seed(0)
    changed = crop_and_flip(image.expand(500, 1, 8, 8))
    assert changed.dtype == torch.uint8
    assert {tuple(one.flatten().tolist()) for one in changed} == possible


def test_channel_statistics_equal_torchs() -> None:
    images = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    pixels = (images.double() / 255).transpose(0, 1).flatten(1)
    assert torch.allclose(mean.double(), pixels.mean(1))
    assert torch.allclose(std.double(), pixels.std(1, correction=0))
