"""`folder:PATH`: any images in train/<class>/ and test/<class>/, in a folder or an archive of one.

An archive (.tar, .tar.gz, .tar.xz, .zip) is read where it is: nothing is unpacked to disk. Images
that are larger than the network's input are shrunk to it when they are read; if sizes differ after
that, all are. A folder whose images are large in all is looked at by a sample: its statistics, its
sizes, its fingerprint; what does not fit into memory is read from disk batch by batch.
"""

import lzma
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image

from models.data_source import DataOptions
from models.errors import BadInputError
from models.image_files import ImageFiles, decoded, look_at, machine_bytes
from models.image_parts import ImagePart, LabelledImages
from models.images import ImageData

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}
LARGEST_FILE = 64 * 2**20
"""Bytes; a larger member of an archive is refused before it is unpacked."""
LARGEST_TOTAL = 8 * 2**30
"""Bytes that the images of an archive may have in all, unpacked, and as pixels: so much memory is
needed to hold them."""
DEFAULT_SIZE = 64
"""Side that images of different sizes are resized to, if nothing says another."""
LARGE_BYTES = 2**30
"""A folder whose images have more bytes, as pixels, is looked at by a sample."""
MEMORY_SHARE = 0.25
"""Of the machine's memory, that the images of a folder may take."""


@dataclass(frozen=True, slots=True)
class _Sample:
    part: str
    """train or test."""
    label: str
    """Name of the class."""
    name: str
    image: np.ndarray
    """uint8, (H, W) or (H, W, 3)."""


class ImageFolder(ImageData):
    """Images by part and class; classes are numbered in the order of their names."""

    augmentation = "crop-flip"
    normalizes = True

    def __init__(self, path: Path, options: DataOptions) -> None:
        super().__init__(options)
        self._path = path

    def load(self) -> tuple[ImagePart, ImagePart]:
        """Return the training and the test part; see `ImageData.load`."""
        files = self._files()
        pixels = sum(part.image_bytes * len(part) for part in files)
        if pixels > LARGE_BYTES:
            memory = self.options.data_memory_gb
            most = MEMORY_SHARE * machine_bytes() if memory is None else memory * 10**9
            train, test = (each.in_memory() if pixels <= most else each for each in files)
            return train, test
        return self._load_all()

    def _files(self) -> list[ImageFiles]:
        """Return the training and the test part on disk; nothing of an archive."""
        if not self._path.is_dir():
            return []
        found = sorted(
            (file.relative_to(self._path).as_posix(), file)
            for file in self._path.rglob("*")
            if _is_image(PurePosixPath(file.relative_to(self._path))) and file.is_file()
        )
        if not found:
            return []
        names = [PurePosixPath(name).parts[-3:-1] for name, _ in found]
        classes = self._classes(names)
        size, mode = look_at([file for _, file in found], self.options.input_size, DEFAULT_SIZE)
        self.num_classes = len(classes)
        numbers = {label: number for number, label in enumerate(classes)}
        places = {
            part: [place for place, (own, _) in enumerate(names) if own == part]
            for part in ("train", "test")
        }
        return [
            ImageFiles(
                files=np.array([str(found[place][1]) for place in places[part]]),
                labels=torch.tensor([numbers[names[place][1]] for place in places[part]]),
                size=size,
                mode=mode,
            )
            for part in ("train", "test")
        ]

    def _load_all(self) -> tuple[ImagePart, ImagePart]:
        """Return both parts of a folder or an archive, all in memory."""
        try:
            samples = list(self._samples())
        except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, EOFError, OSError) as err:
            raise BadInputError(f"{self._path} cannot be read: {err}") from err
        classes = self._classes([(sample.part, sample.label) for sample in samples])
        self.num_classes = len(classes)
        samples.sort(key=lambda sample: sample.name)
        if len({sample.image.shape for sample in samples}) > 1:
            side = self.options.input_size or DEFAULT_SIZE
            samples = [replace(sample, image=_resized(sample.image, side)) for sample in samples]
        train, test = (
            _stack([sample for sample in samples if sample.part == part], classes)
            for part in ("train", "test")
        )
        return train, test

    def _samples(self) -> Iterator[_Sample]:
        first_mode = None
        pixels = 0
        for name, content in _files(self._path):
            where = f"{name} in {self._path}"
            image = decoded(content, where, self.options.input_size)
            pixels += image.width * image.height * len(image.getbands())
            if pixels > LARGEST_TOTAL:
                raise BadInputError(
                    f"The images of {self._path} take more than {LARGEST_TOTAL:,} bytes of "
                    "memory: give a smaller `--input-size`."
                )
            first_mode = first_mode or image.mode
            if image.mode != first_mode:
                kinds = {"L": "grey", "RGB": "colour"}
                raise BadInputError(
                    f"The image {name} in {self._path} is {kinds[image.mode]}, "
                    f"but those before it are {kinds[first_mode]}."
                )
            yield _Sample(name.parts[-3], name.parts[-2], str(name), np.asarray(image))

    def _classes(self, names: Sequence[tuple[str, ...]]) -> list[str]:
        """Return the names of the classes, of parts and classes; each must be in both parts."""
        found = {
            part: {label for own, label in names if own == part} for part in ("train", "test")
        }
        for part, labels in found.items():
            if not labels:
                raise BadInputError(
                    f"{self._path} holds no image {part}/<class>/<name> with an ending of "
                    f"{', '.join(sorted(ENDINGS))}."
                )
            folders = {entry.name for entry in self._path.glob(f"{part}/*") if entry.is_dir()}
            for label in sorted((found["train"] | found["test"] | folders) - labels):
                raise BadInputError(f"{self._path} holds no image in {part}/{label}.")
        if len(found["train"]) < 2:
            raise BadInputError(f"{self._path} holds only one class, {found['train'].pop()}.")
        return sorted(found["train"])


def _stack(samples: list[_Sample], classes: list[str]) -> LabelledImages:
    images = np.stack([np.atleast_3d(sample.image) for sample in samples])  # (N, H, W, C)
    labels = [classes.index(sample.label) for sample in samples]
    return LabelledImages(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels)
    )


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _files(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name and content of every image of a folder or archive.

    Raises:
        BadInputError: There is nothing at `path`, or something else.
    """
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = PurePosixPath(file.relative_to(path).as_posix())
            if _is_image(name) and file.is_file():
                yield name, file.read_bytes()
    elif not path.is_file():
        raise BadInputError(f"There is no folder or archive {path}.")
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            total = 0
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename)
                if _is_image(name) and not entry.is_dir():
                    total += entry.file_size
                    _check_size(path, name, entry.file_size, total)
                    yield name, archive.read(entry)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            total = 0
            for member in archive:
                total += member.size  # also what is no image is unpacked to be skipped
                name = PurePosixPath(member.name)
                _check_size(path, name, 0, total)
                if _is_image(name) and member.isfile():
                    _check_size(path, name, member.size, total)
                    content = archive.extractfile(member)
                    assert content is not None
                    yield name, content.read()
    else:
        raise BadInputError(f"{path} is neither a folder nor a .tar, .tar.xz or .zip of one.")


def _is_image(name: PurePosixPath) -> bool:
    return (
        len(name.parts) >= 3
        and name.parts[-3] in {"train", "test"}
        and name.suffix.lower() in ENDINGS
        and not name.name.startswith(".")
    )


def _check_size(path: Path, name: PurePosixPath, size: int, total: int) -> None:
    if total > LARGEST_TOTAL:
        raise BadInputError(f"{path} holds more than {LARGEST_TOTAL:,} bytes up to {name}.")
    if size > LARGEST_FILE:
        raise BadInputError(f"{name} in {path} is larger than {LARGEST_FILE:,} bytes.")
