import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.data.cifar10 import CIFAR10
from models.data.folder import LARGEST_FILE, ImageFolder
from models.data_source import DataOptions
from models.errors import BadInputError

SIDE = 8


def coded(color: tuple[int, int, int] | int, size: tuple[int, int] = (SIDE, SIDE)) -> bytes:
    image = Image.new("L" if isinstance(color, int) else "RGB", size, color)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def write_folder(root: Path, *, count: int = 10) -> Path:
    """Write two classes; the red value of an image is its number, the blue one its class."""
    for part in ("train", "test"):
        for label, blue in (("cat", 0), ("dog", 255)):
            folder = root / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:02}.png").write_bytes(coded((number, 7, blue)))
    return root


def loaded(path: Path, **options: object) -> ImageFolder:
    data = ImageFolder(path, DataOptions(**options))
    data.setup()
    return data


def test_classes_are_numbered_by_name_and_images_keep_their_colours(tmp_path: Path) -> None:
    data = loaded(write_folder(tmp_path))
    assert data.num_classes == 2
    assert data.sizes() == {"train": 14, "validation": 6, "test": 20}
    assert data.test.images.shape == (20, 3, SIDE, SIDE)
    assert data.test.images[3, :, 0, 0].tolist() == [3, 7, 0]
    assert torch.equal(data.test.labels, (data.test.images[:, 2, 0, 0] == 255).long())


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz", "zip"])
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, ending: str) -> None:
    folder = write_folder(tmp_path / "images")
    archive = tmp_path / f"images.{ending}"
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for file in sorted(folder.rglob("*.png"), reverse=True):
                packed.write(file, f"some/top/{file.relative_to(folder)}")
    else:
        with tarfile.open(archive, f"w:{ending.partition('.')[2]}") as packed:
            packed.add(folder, "images")
    assert loaded(archive).fingerprint() == loaded(folder).fingerprint()


def test_nothing_is_unpacked(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "images")
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as packed:
        packed.add(folder, "images")
        packed.add(folder / "train/cat/00.png", "../../train/cat/escaped.png")
    before = set(tmp_path.rglob("*"))
    loaded(archive)
    assert set(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "train").exists()


def test_images_of_different_sizes_are_resized_to_the_networks_input(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "train/cat/00.png").write_bytes(coded((0, 7, 0), (20, 10)))
    assert loaded(folder, input_size=16).input_shape == (3, 16, 16)
    assert loaded(folder).input_shape == (3, 64, 64)


def test_larger_images_are_shrunk_when_they_are_read(tmp_path: Path) -> None:
    data = loaded(write_folder(tmp_path), input_size=4)
    assert data.train.images.shape[2:] == (4, 4)


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    for file in folder.rglob("*.png"):
        file.write_bytes(coded(int(file.stem)))
    assert loaded(folder).input_shape == (1, SIDE, SIDE)


def spoil(folder: Path, how: str) -> None:
    image = folder / "train" / "dog" / "04.png"
    content = image.read_bytes()
    if how == "truncated":
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(noise).save(out, "JPEG")
        image.with_suffix(".jpg").write_bytes(out.getvalue()[:1500])
    elif how == "corrupt":
        image.write_bytes(b"no image" + content)
    elif how == "empty file":
        image.write_bytes(b"")
    elif how == "grey":
        image.write_bytes(coded(7))
    elif how == "empty class":
        (folder / "train" / "bird").mkdir()
    elif how == "class without test":
        for file in (folder / "test" / "dog").iterdir():
            file.unlink()
    elif how == "no test":
        for file in (folder / "test").rglob("*.png"):
            file.unlink()
    elif how == "one class":
        for file in folder.rglob("dog/*.png"):
            file.unlink()
        for part in ("train", "test"):
            (folder / part / "dog").rmdir()


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("truncated", r"The image train/dog/04\.jpg in .* cannot be read: .*truncated"),
        ("corrupt", r"The image train/dog/04\.png in .* cannot be read: "),
        ("empty file", r"The image train/dog/04\.png in .* cannot be read: "),
        ("grey", r"The image train/dog/04\.png in .* is grey, but those before it are colour\."),
        ("empty class", r"holds no image in train/bird\."),
        ("class without test", r"holds no image in test/dog\."),
        ("no test", r"holds no image test/<class>/<name> with an ending of \.bmp"),
        ("one class", r"holds only one class, cat\."),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(tmp_path: Path, how: str, line: str) -> None:
    folder = write_folder(tmp_path / "images")
    spoil(folder, how)
    with pytest.raises(BadInputError, match=line) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "There is no folder or archive"),
        (b"hello", "is neither a folder nor a"),
        (b"", "is neither a folder nor a"),
    ],
)
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes | None, line: str) -> None:
    path = tmp_path / "images.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=line):
        loaded(path)


def test_a_truncated_archive_is_one_line(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar.xz"
    with tarfile.open(archive, "w:xz") as packed:
        packed.add(write_folder(tmp_path / "images"), "images")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(BadInputError, match=r"images\.tar\.xz cannot be read: "):
        loaded(archive)


def test_a_huge_member_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("train/cat/bomb.png", bytes(LARGEST_FILE + 1))
    with pytest.raises(BadInputError, match=r"train/cat/bomb\.png in .* is larger than"):
        loaded(archive)


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_an_archive_that_expands_without_bound_is_refused(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / f"bomb.{ending}"
    images = {"0.png": coded((0, 7, 0)), "1.png": bytes(2000)}
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for name, content in images.items():
                packed.writestr(f"train/cat/{name}", content)
    else:
        with tarfile.open(archive, "w") as packed:
            for name, content in images.items():
                member = tarfile.TarInfo(f"train/cat/{name}")
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
    monkeypatch.setattr("models.data.folder.LARGEST_TOTAL", 1000)
    with pytest.raises(
        BadInputError, match=r"bomb\.\w+ holds more than [0-9,]+ bytes up to train"
    ):
        loaded(archive)


def test_images_that_take_too_much_memory_as_pixels_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.data.folder.LARGEST_TOTAL", 39 * 3 * SIDE * SIDE)
    with pytest.raises(BadInputError, match=r"take more than [0-9,]+ bytes of memory"):
        loaded(write_folder(tmp_path))


def test_cifar10_that_is_neither_there_nor_fetched_names_folder_and_alternative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.cifar.CIFAR10.download", no_network)
    with pytest.raises(
        BadInputError, match=r"cifar-10-batches-py must hold .*`--data folder:PATH`"
    ):
        CIFAR10(DataOptions(root=tmp_path)).setup()
