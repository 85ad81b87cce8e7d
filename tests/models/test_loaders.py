import random

import pytest
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from models.errors import BadInputError
from models.loaders import LoaderData


class TenNumbers(LightningDataModule):
    """Ten inputs a part; the class of an input is its number modulo 3."""

    def _loader(self, shuffle: bool = False) -> DataLoader:
        inputs = torch.arange(10.0).view(10, 1)
        labels = torch.arange(10) % 3
        return DataLoader(TensorDataset(inputs, labels), batch_size=4, shuffle=shuffle)

    def train_dataloader(self) -> DataLoader:
        return self._loader(shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self._loader()

    def test_dataloader(self) -> DataLoader:
        return self._loader()


class Own(TenNumbers):
    """Ten numbers, but with another training set."""

    def __init__(self, dataset: Dataset | list, **options: object) -> None:
        super().__init__()
        self._dataset = dataset
        self._options = {"batch_size": 4, "shuffle": True} | options

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self._dataset, **self._options)


def pairs(inputs: Tensor | None = None, labels: Tensor | None = None) -> TensorDataset:
    numbers = torch.arange(10)
    return TensorDataset(
        numbers.float().view(10, 1) if inputs is None else inputs,
        numbers % 3 if labels is None else labels,
    )


def set_up(module: LightningDataModule) -> LoaderData:
    data = LoaderData(module)
    data.setup()
    return data


def test_a_data_module_s_loaders_are_taken_as_they_are() -> None:
    data = set_up(TenNumbers())
    assert data.num_classes == 3
    assert data.sizes() == {"train": 10, "validation": 10, "test": 10}
    assert [len(labels) for _, labels in data.batches("test")] == [4, 4, 2]
    assert data.input_shape == (1,)
    assert torch.equal(data.training_inputs(5), data.training_inputs(5))


@pytest.mark.filterwarnings("ignore:'pin_memory' argument")  # Lightning's own loaders ask for it
def test_loaders_set_as_attributes_are_there() -> None:
    parts = [TensorDataset(torch.rand(4, 1), torch.arange(4)) for _ in range(3)]
    assert set_up(LightningDataModule.from_datasets(*parts)).num_classes == 4


def test_classes_are_counted_in_all_parts() -> None:
    assert set_up(Own(pairs(labels=torch.arange(10)))).num_classes == 10


def one_changed(values: Tensor) -> Tensor:
    changed = values.clone()
    changed[-1] += 1
    return changed


@pytest.mark.parametrize("workers", [0, 2])
def test_equal_data_have_equal_fingerprints(workers: int) -> None:
    torch.manual_seed(3)
    first = set_up(Own(pairs(), num_workers=workers)).fingerprint()
    torch.manual_seed(4)
    assert set_up(Own(pairs(), num_workers=workers)).fingerprint() == first


NUMBERS = torch.arange(10.0).view(10, 1)
CHANGES = {
    "one input": {"dataset": pairs(inputs=one_changed(NUMBERS))},
    "one label": {"dataset": pairs(labels=one_changed(torch.arange(10) % 3))},
    "labels of two inputs": {
        "dataset": pairs(labels=(torch.arange(10) % 3)[[1, 0, *range(2, 10)]])
    },
    "type": {"dataset": pairs(inputs=NUMBERS.int())},
    "shape": {"dataset": pairs(inputs=NUMBERS.view(10, 1, 1))},
    "batches": {"batch_size": 5},
    "order": {"shuffle": False},
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_a_training_changes_the_fingerprint(change: str) -> None:
    changed = Own(**({"dataset": pairs()} | CHANGES[change]))
    assert set_up(changed).fingerprint() != set_up(Own(pairs())).fingerprint()


def test_the_order_of_a_generator_that_goes_on_is_left_out() -> None:
    def shuffled(seed: int, dataset: Dataset) -> str:
        generator = torch.Generator().manual_seed(seed)
        return set_up(Own(dataset, generator=generator)).fingerprint()

    assert shuffled(0, pairs()) == shuffled(1, pairs())
    assert shuffled(0, pairs()) != shuffled(0, pairs(inputs=one_changed(NUMBERS)))


class Noisy(Dataset):
    """Ten numbers with noise, and the classes that are given."""

    def __init__(self, noise: object, labels: list[int], scale: float = 1.0) -> None:
        self._noise = noise
        self._labels = labels
        self._scale = scale

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([index + self._scale * float(self._noise())]), self._labels[index]


@pytest.mark.parametrize("noise", [random.random, lambda: torch.rand(())])
def test_inputs_that_change_at_random_do_not_change_the_fingerprint(noise: object) -> None:
    prints = {set_up(Own(Noisy(noise, [0, 1, 2]))).fingerprint() for _ in range(3)}
    assert len(prints) == 1
    assert set_up(Own(Noisy(noise, [0, 1, 1]))).fingerprint() not in prints


def test_another_augmentation_by_torch_is_seen() -> None:
    first, second = (Noisy(lambda: torch.rand(()), [0, 1, 2], scale) for scale in (1.0, 2.0))
    assert set_up(Own(first)).fingerprint() != set_up(Own(second)).fingerprint()


@pytest.mark.parametrize(
    ("dataset", "line"),
    [
        (["a", "b"], r"`train_dataloader` must yield \(inputs, labels\), two tensors"),
        (
            pairs(labels=torch.arange(10, dtype=torch.int32)),
            r"labels int64 \(N,\) of inputs \(N, \.\.\.\), but got int32 \(4,\) of \(4, 1\)",
        ),
        (pairs(labels=torch.arange(10).view(10, 1)), r"but got int64 \(4, 1\) of \(4, 1\)"),
        (pairs(labels=torch.arange(10) - 1), r"must yield labels in \[0, 9\), but got -1"),
        (Noisy(lambda: 1 / 0, [0]), "`train_dataloader` failed with ZeroDivisionError: division"),
    ],
)
def test_loaders_that_yield_something_else_are_named(dataset: object, line: str) -> None:
    with pytest.raises(BadInputError, match=line) as caught:
        LoaderData(Own(dataset, shuffle=False)).setup()
    assert "\n" not in str(caught.value)


def test_labels_outside_the_classes_that_are_declared_are_one_line() -> None:
    module = Own(pairs(labels=torch.arange(10)))
    module.num_classes = 9
    with pytest.raises(BadInputError, match=r"`train_dataloader` must .* in \[0, 9\), but got 9"):
        LoaderData(module).setup()


def test_an_empty_loader_is_one_line() -> None:
    with pytest.raises(BadInputError, match="`train_dataloader` yields nothing"):
        LoaderData(Own([], shuffle=False)).setup()


@pytest.mark.parametrize("missing", ["train", "val", "test"])
def test_a_loader_that_is_not_there_is_named(missing: str) -> None:
    loaders = {
        f"{part}_dataloader": getattr(TenNumbers, f"{part}_dataloader")
        for part in ("train", "val", "test")
        if part != missing
    }
    loaders["_loader"] = TenNumbers._loader
    module = type("Partial", (LightningDataModule,), loaders)()
    with pytest.raises(BadInputError, match=f"The data have no `{missing}_dataloader`"):
        LoaderData(module).setup()


@pytest.mark.parametrize("method", ["prepare_data", "setup"])
def test_what_fails_before_the_loaders_is_one_line_and_chained(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError("no pixels.npy\nhere")

    monkeypatch.setattr(TenNumbers, method, fail)
    line = f"^The data's `{method}` failed with FileNotFoundError: no pixels.npy$"
    with pytest.raises(BadInputError, match=line) as caught:
        LoaderData(TenNumbers()).setup()
    assert isinstance(caught.value.__cause__, FileNotFoundError)
