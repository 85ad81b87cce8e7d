"""Which of a batch a network is given, and which are labels."""

import pytest
import torch
from torch import Tensor

from models.batches import checked, unpacked
from models.errors import BadInputError
from models.inputs import Inputs, tensors_of
from models.tasks import MULTICLASS, TASKS

X, Z = torch.rand(4, 3), torch.arange(8).view(4, 2)
Y = torch.arange(4)

BATCHES = {
    "pair": ((X, Y), [X], ()),
    "list": ([X, Y], [X], ()),
    "three": ((X, Z, Y), [X, Z], ()),
    "nested": (((X, Z), Y), [X, Z], ()),
    "dictionary": ({"x": X, "z": Z, "labels": Y}, [X, Z], ("x", "z")),
    "dictionary and labels": (({"x": X}, Y), [X], ("x",)),
    "with texts": ({"x": X, "text": ["a"] * 4, "y": Y}, [X], ("x",)),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_inputs_and_labels_of_a_batch(kind: str) -> None:
    batch, inputs, names = BATCHES[kind]
    given, labels = unpacked(batch, "train_dataloader")
    assert torch.equal(labels, Y)
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(given), inputs, strict=True))
    assert (given.names if isinstance(given, Inputs) else ()) == names


@pytest.mark.parametrize("batch", [X, (X,), [X], {"x": X}], ids=["tensor", "row", "list", "names"])
def test_a_batch_may_have_no_labels(batch: object) -> None:
    given, labels = unpacked(batch, "train_dataloader")
    assert labels is None
    assert torch.equal(tensors_of(given)[0], X)
    assert checked(given, labels, TASKS["own"], "train_dataloader", 0).shape == (4, 0)


@pytest.mark.parametrize(
    ("batch", "line"),
    [
        ("text", "must yield .inputs..., labels., tensors, or a dictionary of them"),
        (({"text": "a"}, Y), "or a dictionary of them"),
        ((X.double(), Y), "float32 or whole numbers, but got float64: let the data cast them"),
        ((X, X.double(), Y), "float32 or whole numbers, but got float64"),
        ((X, Y.numpy()), "labels that are a tensor, but got a ndarray: let the collate"),
        ((X, [0, 1, 0, 1]), "labels that are a tensor, but got a list: let the collate"),
        ({"x": X, "mask": X.numpy(), "labels": Y}, "'mask' is an array of NumPy: let the"),
        ((X[0, 0], Y[0]), "let a DataLoader have a `batch_size`"),
    ],
)
def test_other_batches_are_one_line(batch: object, line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        unpacked(batch, "train_dataloader")


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (Inputs((X, Z[:3])), r"as many labels as inputs, but got \(4,\) of \(3, 2\)"),
        (Inputs((X, X / 0)), "finite inputs, but input 0 of batch 5 has inf"),
    ],
)
def test_each_of_several_inputs_is_checked(inputs: Inputs, line: str) -> None:
    with pytest.raises(BadInputError, match=line):
        checked(inputs, Y, MULTICLASS, "train_dataloader", 5)


def test_several_labels_are_left_to_a_lightning_module() -> None:
    boxes: dict[str, Tensor] = {"boxes": X}
    given, labels = unpacked((X, boxes), "train_dataloader")
    assert labels is boxes
    with pytest.raises(BadInputError, match="Labels must be numbers of classes"):
        checked(given, labels, MULTICLASS, "train_dataloader", 0)
