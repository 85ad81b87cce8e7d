import random
from importlib import import_module

import pytest
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from models.classifier import Classifier
from models.errors import BadInputError
from models.labels import class_numbers
from models.loaders import LoaderData
from models.registry import DATA


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
        (["a", "b"], r"`train_dataloader` must yield \(inputs..., labels\), tensors, or a dict"),
        (
            pairs(labels=torch.rand(10)),
            r"`train_dataloader`: Labels must be numbers of classes, .* \(4,\) that are not whole",
        ),
        (pairs(labels=torch.ones(10, 3)), r"got float32 \(4, 3\) with 3 classes for an input"),
        (pairs(labels=torch.rand(10, 3)), r"got float32 \(4, 3\) other than 0 and 1"),
        (pairs(labels=torch.zeros(10, 2, 2)), r"but got float32 \(4, 2, 2\)"),
        ([(torch.ones(2), torch.tensor(1))] * 3 + ["no"], r"`train_dataloader` failed with|must"),
        (
            pairs(labels=torch.arange(10) - 1),
            r"must yield labels in \[0, 9\), but got -1. Leave inputs out that have no class",
        ),
        (
            pairs(inputs=torch.tensor([*range(6), float("nan"), 7, 8, 9])[:, None]),
            "must yield finite inputs, but input 2 of batch 1 has nan",
        ),
        (
            pairs(inputs=torch.tensor([*range(9), float("inf")])[:, None]),
            "must yield finite inputs, but input 1 of batch 2 has inf",
        ),
        (Noisy(lambda: 1 / 0, [0]), "`train_dataloader` failed with ZeroDivisionError: division"),
    ],
)
def test_loaders_that_yield_something_else_are_named(dataset: object, line: str) -> None:
    data = LoaderData(Own(dataset, shuffle=False))
    data.ask("multiclass")
    with pytest.raises(BadInputError, match=line) as caught:
        data.setup()
    assert "\n" not in str(caught.value)


class Everywhere(LightningDataModule):
    """The same pairs in each part."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__()
        self.dataset = dataset

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.dataset, batch_size=4)

    val_dataloader = test_dataloader = train_dataloader


@pytest.mark.parametrize(
    ("labels", "task", "outputs"),
    [
        (torch.arange(10) % 3, "multiclass", 3),
        ((torch.arange(10) % 3).float(), "multiclass", 3),
        (torch.rand(10), "regression", 1),
        (torch.rand(10, 4), "regression", 4),
        (torch.arange(10) % 2 == 0, "binary", 1),
        (torch.randint(0, 2, (10, 3)).index_fill(0, torch.tensor([0]), 1), "multilabel", 3),
        (torch.arange(40).reshape(10, 2, 2) % 4, "segmentation", 4),
    ],
)
def test_what_is_asked_is_guessed_from_labels(labels: Tensor, task: str, outputs: int) -> None:
    data = LoaderData(Everywhere(pairs(labels=labels)))
    data.setup()
    assert data.task.name == task
    assert data.num_classes == outputs
    for _, targets in data.batches("test"):
        assert targets.shape[1:] == labels.shape[1:]
    assert data.sizes() == dict.fromkeys(("train", "validation", "test"), 10)


def test_what_is_asked_changes_what_labels_are() -> None:
    data = LoaderData(Everywhere(pairs(labels=torch.arange(10) % 2)))
    data.ask("binary")
    data.setup()
    assert data.num_classes == 1
    with pytest.raises(BadInputError, match="Unknown task 'ranking'"):
        data.ask("ranking")
    built_in = DATA.get("mnist5k")()
    with pytest.raises(BadInputError, match="The task of these data is multiclass, not binary"):
        built_in.ask("binary")


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


NUMBERS_OF_CLASSES = torch.arange(10) % 3


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS_OF_CLASSES.int(),
        NUMBERS_OF_CLASSES.to(torch.uint8),
        NUMBERS_OF_CLASSES[:, None],
        NUMBERS_OF_CLASSES.float(),
        torch.nn.functional.one_hot(NUMBERS_OF_CLASSES),
        torch.nn.functional.one_hot(NUMBERS_OF_CLASSES).float(),
    ],
    ids=["int32", "uint8", "a column", "whole floats", "one-hot", "one-hot floats"],
)
def test_labels_of_any_form_are_classes_in_measuring_and_in_our_training(labels: Tensor) -> None:
    data = set_up(Own(pairs(labels=labels), shuffle=False))
    assert data.num_classes == 3
    classifier = Classifier(nn.Linear(1, 3), lr=0.1, steps=1, loss=lambda *_: 0)
    batches = data.for_training(4, 0, classifier)
    first = next(iter(batches.train_dataloader()))
    _, given = batches.on_after_batch_transfer(first, 0)
    assert given.tolist() == [0, 1, 2, 0]
    assert given.dtype == torch.int64


def test_bool_labels_are_two_classes() -> None:
    labels = torch.arange(10) > 4
    assert class_numbers(labels).tolist() == labels.int().tolist()


class Hooked(TenNumbers):
    """Halves what it yields on its way to the device, and adds noise while something trains."""

    def on_before_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Tensor]:
        return [batch[0] / 2, batch[1]]

    def on_after_batch_transfer(self, batch: list[Tensor], dataloader_idx: int) -> list[Tensor]:
        if self.trainer.training:
            batch[0] = batch[0] + 100
        return batch


def test_what_is_done_on_the_way_to_the_device_is_done_in_measuring_too() -> None:
    module = Hooked()
    data = set_up(module)
    inputs, _ = next(data.batches("test"))
    assert inputs.flatten().tolist() == [0, 0.5, 1, 1.5]
    assert float(data.training_inputs(10).max()) == 4.5
    assert module.trainer is None


def test_a_hook_that_fails_is_one_line() -> None:
    class Failing(Hooked):
        def on_after_batch_transfer(self, batch: list, dataloader_idx: int) -> list:
            raise KeyError("no such thing")

    line = "What the data do to a batch on its way to the device failed with KeyError"
    with pytest.raises(BadInputError, match=line):
        set_up(Failing())


@pytest.mark.parametrize("package", ["pytorch_lightning", "lightning.pytorch"])
def test_data_of_either_lightning_are_data(package: str) -> None:
    base = import_module(package).LightningDataModule
    loaders = {
        name: getattr(TenNumbers, name)
        for name in ("_loader", "train_dataloader", "val_dataloader", "test_dataloader")
    }
    data = set_up(type("Ten", (base,), loaders)())
    assert data.sizes() == {"train": 10, "validation": 10, "test": 10}


class Named(LightningDataModule):
    """Parts whose batches are dictionaries."""

    def __init__(self, **parts: dict[str, Tensor]) -> None:
        super().__init__()
        self._parts = parts

    def _loader(self, part: str) -> DataLoader:
        return DataLoader([self._parts.get(part, self._parts["train"])], batch_size=None)

    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")


A, B, LABELS = torch.rand(6, 2), torch.arange(6), torch.arange(6) % 2
TRAIN = {"a": A, "b": B, "labels": LABELS}


def test_the_order_of_names_is_that_of_the_first_training_batch() -> None:
    data = set_up(Named(train=TRAIN, val={"labels": LABELS, "b": B, "a": A}))
    given, _ = next(data.batches("validation"))
    assert given.names == ("a", "b")
    assert torch.equal(given.tensors[0], A)


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"a": A, "labels": LABELS}, "must yield the inputs of .*, a float32, b int64, but got a"),
        (TRAIN | {"b": B.int()}, "a float32, b int64, but got a float32, b int32"),
    ],
)
def test_parts_with_other_inputs_are_one_line(part: dict[str, Tensor], line: str) -> None:
    with pytest.raises(BadInputError, match=f"`test_dataloader` .*{line}"):
        set_up(Named(train=TRAIN, test=part))
