"""How long many large images take to be trained on first: `python -m benchmarks.large`.

Images of 224 pixels are made as JPEGs, half of each of two classes, and given to a study as a
folder and as a `LightningDataModule` of torchvision's `ImageFolder`. Shown are the seconds from
the start of the process to the first training step, and its memory then, without that of the
processes that load batches. The process ends there.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.data import DataLoader

SIDE = 224
BATCH = 64
HELD_OUT = 1000
FOLDER = "BENCHMARK_IMAGES"
"""The environment variable that says where the images are."""


def write_images(folder: Path, first: int, last: int) -> None:
    """Write images of smooth noise, lighter ones of the second class."""
    for number in range(first, last):
        low = 100 * (number % 2)
        coarse = np.random.default_rng(number).integers(
            low, low + 156, (14, 14, 3), dtype=np.uint8
        )
        image = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(folder / ("light" if low else "dark") / f"{number:06}.jpg", quality=85)


def make_folder(folder: Path, images: int) -> None:
    """Write the training and the test part, on all cores."""
    with ProcessPoolExecutor() as processes:
        for part, count in (("train", images), ("test", HELD_OUT)):
            for label in ("dark", "light"):
                (folder / part / label).mkdir(parents=True)
            starts = range(0, count, 500)
            tasks = [
                processes.submit(write_images, folder / part, start, min(count, start + 500))
                for start in starts
            ]
            for task in tasks:
                task.result()


class Small(nn.Module):
    """A convolution and a dense layer; the process ends at its first whole training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 7, stride=8), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8 * 28 * 28, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, (N, 2)."""
        if self.training and len(images) == BATCH:
            seconds = time.time() - float(os.environ["BENCHMARK_BEGAN"])
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"{seconds:.1f} {memory:.2f}", flush=True)
            os._exit(0)
        logits: Tensor = self.head(self.features(images))
        return logits


def loaders() -> object:
    """Return the images as a user's own data module gives them."""
    from pytorch_lightning import LightningDataModule
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import ToTensor

    root = Path(os.environ[FOLDER])

    def loader(part: str, *, shuffle: bool) -> DataLoader[Any]:
        images = ImageFolder(root / part, ToTensor())
        return DataLoader(images, batch_size=BATCH, shuffle=shuffle, num_workers=2)

    class Own(LightningDataModule):
        def train_dataloader(self) -> DataLoader[Any]:
            return loader("train", shuffle=True)

        def val_dataloader(self) -> DataLoader[Any]:
            return loader("test", shuffle=False)

        def test_dataloader(self) -> DataLoader[Any]:
            return loader("test", shuffle=False)

    return Own()


def first_step(data: str, folder: Path) -> tuple[str, str]:
    """Return seconds and GiB of a study on `data` up to its first step."""
    with tempfile.TemporaryDirectory() as studies:
        command = [sys.executable, "-m", "search.run", "--model", "benchmarks.large:Small"]
        command += ["--data", data, "--batch-size", str(BATCH), "--augment", "none"]
        command = command if data.startswith("folder:") else command[:-2]
        command += ["--sparsity", "0", "--precision", "32", "--epochs", "1", "--workers", "1"]
        environment = os.environ | {FOLDER: str(folder), "BENCHMARK_BEGAN": str(time.time())}
        ended = subprocess.run(
            [*command, "--studies-dir", studies],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    seconds, memory = ended.stdout.splitlines()[-1].split()
    return seconds, memory


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="of images that were made before")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or Path(made)
        if not (folder / "train").exists():
            make_folder(folder, options.images)
        rows = [
            [name, *first_step(data, folder)]
            for name, data in (
                ("folder", f"folder:{folder}"),
                ("LightningDataModule", "benchmarks.large:loaders"),
            )
        ]
    headers = [f"{options.images:,} images of {SIDE} pixels", "s to the first step", "GiB"]
    print(tabulate(rows, headers, tablefmt="pipe"))


if __name__ == "__main__":
    main()
