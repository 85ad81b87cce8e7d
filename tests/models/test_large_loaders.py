"""Loaders that yield more than is read at the start."""

from collections.abc import Iterator

import pytest
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset

from models import loaders
from models.classifier import Classifier
from models.errors import BadInputError
from models.lightning import trainer_of
from models.loaders import LoaderData
from models.tasks import MULTICLASS

WHOLE_BYTES = 40 * 4
"""What is read: 41 inputs of one number each, in batches of 8."""


class Numbers(Dataset[tuple[Tensor, int]]):
    """So many numbers, made when they are asked for; counts how many were."""

    def __init__(self, count: int, changed: int | None = None) -> None:
        self.count = count
        self.changed = changed
        self.asked = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        self.asked += 1
        return torch.tensor([float(place + (place == self.changed))]), place % 3


class Stream(IterableDataset[tuple[Tensor, int]]):
    """The same as a stream, which does not tell how long it is."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        return (Numbers(self.count)[place] for place in range(self.count))


class Many(LightningDataModule):
    def __init__(self, dataset: Dataset, **declared: int) -> None:
        super().__init__()
        self.dataset = dataset
        vars(self).update(declared)

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.dataset, batch_size=8)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Numbers(24), batch_size=8)

    test_dataloader = val_dataloader


@pytest.fixture(autouse=True)
def little_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaders, "WHOLE_BYTES", WHOLE_BYTES)


def set_up(dataset: Dataset, **declared: int) -> LoaderData:
    data = LoaderData(Many(dataset, **declared))
    data.setup()
    return data


def test_large_data_are_not_read_whole_and_their_lengths_are_known() -> None:
    numbers = Numbers(100_000)
    data = set_up(numbers)
    assert data.sizes() == {"train": 100_000, "validation": 24, "test": 24}
    assert data.steps_per_epoch(8) == 12_500
    assert data.num_classes == 3
    data.fingerprint()
    assert numbers.asked < 2_000
    assert data.unhashed() == "train (the first 48 of 100,000)"
    assert set_up(Numbers(30)).unhashed() == ""


def test_the_fingerprint_covers_lengths_the_beginning_and_a_sample() -> None:
    told = {
        set_up(Numbers(count, changed), **declared).fingerprint()
        for count, changed, declared in [
            (100_000, None, {}),
            (100_001, None, {}),
            (100_000, 7, {}),
            (100_000, 50_000 - 50_000 % 391, {}),  # one of 256 that are looked at
            (100_000, None, {"num_classes": 4}),
        ]
    }
    assert len(told) == 5
    assert set_up(Numbers(100_000)).fingerprint() in told


def test_a_stream_is_taken_that_does_not_tell_its_length() -> None:
    data = set_up(Stream(1000))
    assert data.sizes()["train"] == data.steps_per_epoch(8) * 8 == 48
    assert not data.knows_length
    assert len(data.training_inputs(20)) == 20
    assert data.fingerprint() == set_up(Stream(1000)).fingerprint()
    assert set_up(Numbers(1000)).knows_length


def fit(data: LoaderData) -> None:
    def loss(_: Tensor, answers: Tensor, targets: Tensor) -> Tensor:
        return MULTICLASS.loss(answers, targets)

    module = Classifier(nn.Linear(1, data.num_classes), lr=0.1, steps=9, loss=loss)
    trainer = trainer_of(module, accelerator="cpu", max_epochs=1)
    trainer.fit(module, datamodule=data.for_training(8, 0, module))
    assert trainer.fit_loop.total_batch_idx + 1 == 125


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dataset", [Numbers(1000), Stream(1000)], ids=["numbers", "stream"])
def test_training_goes_through_all(dataset: Dataset) -> None:
    fit(set_up(dataset))


class LateClass(Numbers):
    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        given, label = super().__getitem__(place)
        return given, 7 if place == 900 else label


@pytest.mark.filterwarnings("ignore")
def test_a_class_that_comes_late_is_one_line() -> None:
    with pytest.raises(BadInputError, match=r"labels in \[0, 3\), but got 7: let the data say"):
        fit(set_up(LateClass(1000)))
    fit(set_up(LateClass(1000), num_classes=8))
