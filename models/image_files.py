"""Images that stay on disk until a batch of them is asked for, by class folders."""

import io
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.errors import BadInputError
from models.image_parts import ImagePart, LabelledImages
from models.pixels import channel_statistics

if TYPE_CHECKING:
    import hashlib

SAMPLED = 256
"""Images, evenly spread, whose content is hashed, and whose pixels are counted."""

GREY_MODES = {"1", "L", "LA", "I", "I;16", "F"}
UNREADABLE = (OSError, SyntaxError, ValueError)
"""What Pillow raises for damaged images, besides its warnings of decompression bombs."""

Mode = Literal["L", "RGB"]
"""Grey or colour, as Pillow calls it."""


class UnreadableImageError(BadInputError):
    """An image cannot be read; also where a process that loads batches has met it."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().splitlines()[-1].removeprefix(_RAISED))


_RAISED = f"{UnreadableImageError.__module__}.{UnreadableImageError.__qualname__}: "
"""What stands before its text in the traceback that torch brings from that process."""


def decoded(content: bytes, name: object, side: int | None) -> Image.Image:
    """Return an image in mode L or RGB, shrunk to `side` pixels where it is larger.

    Raises:
        UnreadableImageError: It is damaged, or none; the text has its `name`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(content))
            image.load()
    except (*UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        reason = " ".join(str(err).split())
        raise UnreadableImageError(f"The image {name} cannot be read: {reason}") from err
    if image.mode == "I;16":  # which Pillow would cut at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        raise UnreadableImageError(
            f"The image {name} cannot be read: it has 32 bits a pixel, not 8 or 16."
        )
    if side is not None and max(image.size) > side:
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    return image.convert(mode_of(image))


def mode_of(image: Image.Image) -> Mode:
    """Return whether an image is grey or of colours."""
    return "L" if image.mode in GREY_MODES else "RGB"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFiles(ImagePart):
    """Images on disk; all become `mode` and `size`."""

    files: np.ndarray
    """Paths, (N,)."""
    labels: Tensor
    size: tuple[int, int]
    """Width and height, pixels."""
    mode: Mode

    def __getitem__(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self._read(self.files[index.numpy()]), self.labels[index]

    def pick(self, index: Tensor) -> "ImageFiles":
        """Return the part that has these alone."""
        return replace(self, files=self.files[index.numpy()], labels=self.labels[index])

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Hash the names, the sizes and the classes of all files, and what is in a sample."""
        digest.update(f"{len(self)} {self.size} {self.mode} ".encode())
        for file in self.files:
            path = Path(file)
            digest.update(f"{'/'.join(path.parts[-3:])} {path.stat().st_size} ".encode())
        digest.update(self.labels.numpy().data)
        for file in self.files[self._sample().numpy()]:
            digest.update(Path(file).read_bytes())

    def unhashed(self) -> str:
        """Return of how many images the content is hashed."""
        return f"{len(self._sample()):,} of {len(self):,}, and all names and sizes"

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (C,) of the pixels in [0, 1] of a sample."""
        return channel_statistics(self[self._sample()][0])

    def in_memory(self) -> "ImagesOfFiles":
        """Return the same images, all read; several at once."""
        images = torch.empty((len(self), len(self.mode), *self.size[::-1]), dtype=torch.uint8)
        parts = torch.arange(len(self)).split(SAMPLED)

        def fill(index: Tensor) -> None:
            images[index] = self[index][0]

        with ThreadPoolExecutor() as threads:  # Pillow decodes without Python's lock
            list(threads.map(fill, parts))
        return ImagesOfFiles(images, self.labels, self)

    @property
    def image_bytes(self) -> int:
        """Of one image, decoded."""
        return len(self.mode) * self.size[0] * self.size[1]

    @property
    def workers(self) -> int:
        """As many as threads train."""
        return torch.get_num_threads()

    def _sample(self) -> Tensor:
        return torch.arange(0, len(self), -(-len(self) // SAMPLED))

    def _read(self, files: Sequence[str]) -> Tensor:
        """Return images, uint8 (N, C, H, W)."""
        images = np.empty((len(files), *self.size[::-1], len(self.mode)), dtype=np.uint8)
        for place, file in enumerate(files):
            image = decoded(Path(file).read_bytes(), _named(Path(file)), None)
            if image.mode != self.mode:
                image = image.convert(self.mode)
            if image.size != self.size:
                image = image.resize(self.size, Image.Resampling.BILINEAR)
            images[place] = np.asarray(image).reshape(images[place].shape)
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True, slots=True)
class ImagesOfFiles(LabelledImages):
    """Images in memory that are known by their files, as if they were on disk."""

    files: ImageFiles

    def pick(self, index: Tensor) -> "ImagesOfFiles":
        """Return the part that has these alone."""
        return ImagesOfFiles(self.images[index], self.labels[index], self.files.pick(index))

    def to(self, device: torch.device) -> "ImagesOfFiles":
        """Return the same on `device`."""
        return ImagesOfFiles(self.images.to(device), self.labels.to(device), self.files)

    def add_to(self, digest: "hashlib._Hash") -> None:
        """Hash what is hashed of the files."""
        self.files.add_to(digest)

    def unhashed(self) -> str:
        """Return what the files say."""
        return self.files.unhashed()

    def channel_statistics(self) -> tuple[Tensor, Tensor]:
        """Return those of the sample."""
        return self.files.channel_statistics()


def look_at(files: Sequence[Path], side: int | None, default: int) -> tuple[tuple[int, int], Mode]:
    """Return the size that images are to have, and their mode, from a look at some.

    Args:
        files: Of images.
        side: That larger ones are shrunk to, if they are.
        default: What all become where sizes differ.

    Raises:
        UnreadableImageError: One of them cannot be read.
    """
    sizes, modes = set[tuple[int, int]](), set[Mode]()
    for file in files[:: -(-len(files) // SAMPLED)]:
        width, height, mode = _header(file)
        fits = side is None or max(width, height) <= side
        sizes.add((width, height) if fits else (side or width, side or height))
        modes.add(mode)
    same = side or default
    size = sizes.pop() if len(sizes) == 1 else (same, same)
    return size, "RGB" if "RGB" in modes else "L"


def _header(file: Path) -> tuple[int, int, Mode]:
    """Return width, height and mode of an image, of which little is read."""
    try:
        with Image.open(file) as image:
            return image.width, image.height, mode_of(image)
    except UNREADABLE as err:
        reason = " ".join(str(err).split())
        raise UnreadableImageError(f"The image {_named(file)} cannot be read: {reason}") from err


def _named(file: Path) -> str:
    """Return part, class and name of an image, and where that is."""
    return f"{'/'.join(file.parts[-3:])} in {file.parents[2]}"


def machine_bytes() -> int:
    """Return the memory of this machine; 8 GiB where it does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * 2**30
