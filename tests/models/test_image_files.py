"""Images that stay on disk answer as the same images in memory do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer

from models.classifier import Classifier
from models.data import folder as folders
from models.data.folder import ImageFolder
from models.data_source import DataOptions
from models.errors import BadInputError
from models.image_files import ImageFiles, UnreadableImageError
from models.lightning import trainer_of
from models.tasks import MULTICLASS

SIDE = 12


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Noise of two brightnesses, 40 and 10 of each."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 10)):
        for label, low in (("dark", 0), ("light", 128)):
            where = tmp_path / "images" / part / label
            where.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(low, low + 128, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(where / f"{number:02}.png")
    return tmp_path / "images"


def read(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    memory_gb: float,
    large: int = 0,
    **more: object,
) -> ImageFolder:
    monkeypatch.setattr(folders, "LARGE_BYTES", large)
    data = ImageFolder(folder, DataOptions(data_memory_gb=memory_gb, **more))
    data.setup()
    return data


def test_what_does_not_fit_stays_on_disk_and_gives_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_disk = read(folder, monkeypatch, memory_gb=0)
    in_memory = read(folder, monkeypatch, memory_gb=1)
    assert isinstance(on_disk.train, ImageFiles)
    assert not isinstance(in_memory.train, ImageFiles)
    assert on_disk.fingerprint() == in_memory.fingerprint()
    assert on_disk.sizes() == in_memory.sizes() == {"train": 56, "validation": 24, "test": 20}
    assert torch.equal(on_disk.training_inputs(9), in_memory.training_inputs(9))
    for ours, theirs in zip(on_disk.mean_and_std, in_memory.mean_and_std, strict=True):
        assert torch.equal(ours, theirs)
    for part in ("validation", "test"):
        pairs = zip(on_disk.batches(part), in_memory.batches(part), strict=True)
        for (images, labels), (others, their_labels) in pairs:
            assert torch.equal(images, others)
            assert torch.equal(labels, their_labels)


def test_small_folders_are_as_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = read(folder, monkeypatch, memory_gb=0, large=2**30)
    assert not isinstance(small.train, ImageFiles)
    assert small.fingerprint() != read(folder, monkeypatch, memory_gb=0).fingerprint()


def test_another_image_another_size_and_another_name_change_the_fingerprint(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {read(folder, monkeypatch, memory_gb=0).fingerprint()}
    told.add(read(folder, monkeypatch, memory_gb=0, input_size=6).fingerprint())
    Image.new("RGB", (SIDE, SIDE), (1, 2, 3)).save(folder / "train/dark/03.png")
    told.add(read(folder, monkeypatch, memory_gb=0).fingerprint())
    (folder / "test/light/01.png").rename(folder / "test/light/99.png")
    told.add(read(folder, monkeypatch, memory_gb=0).fingerprint())
    assert len(told) == 4


@pytest.mark.parametrize("memory_gb", [0, 1])
def test_images_of_other_sizes_and_modes_become_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch, memory_gb: float
) -> None:
    Image.new("L", (5, 30), 7).save(folder / "test/dark/00.png")
    data = read(folder, monkeypatch, memory_gb=memory_gb)
    assert data.input_shape == (3, 64, 64)
    first, _ = next(data.batches("test"))
    assert torch.equal(first[0], torch.full((3, 64, 64), 7 / 255))


@pytest.mark.parametrize("memory_gb", [0, 1])
def test_grey_of_16_bits_keeps_its_upper_8(
    folder: Path, monkeypatch: pytest.MonkeyPatch, memory_gb: float
) -> None:
    wide = np.full((SIDE, SIDE), 40_000, dtype=np.uint16)
    Image.fromarray(wide).save(folder / "test/dark/00.png")
    first, _ = next(read(folder, monkeypatch, memory_gb=memory_gb).batches("test"))
    assert torch.equal(first[0], torch.full((3, SIDE, SIDE), (40_000 >> 8) / 255))


def trained(data: ImageFolder) -> torch.Tensor:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, 2))
    module = Classifier(
        network,
        lr=0.1,
        steps=14,
        loss=lambda _, answers, targets: MULTICLASS.loss(answers, targets),
    )
    trainer: Trainer = trainer_of(module, accelerator="cpu", max_epochs=2)
    trainer.fit(module, datamodule=data.for_training(8, 3, module))
    return network[1].weight.detach()


@pytest.mark.filterwarnings("ignore")
def test_training_meets_the_same_batches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = [
        trained(read(folder, monkeypatch, memory_gb=memory_gb, augment="none"))
        for memory_gb in (0, 1)
    ]
    assert torch.equal(*weights)


def test_an_image_that_cannot_be_read_is_one_line_wherever_it_is_met(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read(folder, monkeypatch, memory_gb=0)
    damaged = Path(str(data.test.files[3]))
    damaged.write_bytes(damaged.read_bytes()[:40])
    line = f"The image {damaged.relative_to(folder)} in {folder} cannot be read: "
    with pytest.raises(UnreadableImageError, match=line) as met:
        list(data.batches("test"))
    assert "\n" not in str(met.value)
    with pytest.raises(BadInputError, match=line):
        read(folder, monkeypatch, memory_gb=1)
