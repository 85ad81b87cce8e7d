import pytest
import torch
from pytorch_lightning import LightningModule
from torch.nn import functional
from toys import FewDigits

from models.data.mnist5k import MNIST5k
from models.data_source import DataOptions
from models.errors import BadInputError
from models.image_parts import BatchIndices, LabelledImages, stratified_split
from models.pixels import to_pixels


def test_split_keeps_each_class_share_and_loses_no_image() -> None:
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1)
    labels = torch.tensor([0] * 60 + [1] * 40)
    kept, held_out = stratified_split(LabelledImages(images, labels), held_out=0.3)
    assert kept.labels.bincount().tolist() == [42, 28]
    assert held_out.labels.bincount().tolist() == [18, 12]
    together = torch.cat([kept.images, held_out.images]).flatten()
    assert sorted(together.tolist()) == list(range(100))


def test_split_is_the_same_each_time(digits: FewDigits) -> None:
    again = FewDigits()
    again.setup()
    assert again.fingerprint() == digits.fingerprint()


def test_fingerprint_notices_one_changed_label(digits: FewDigits) -> None:
    changed = FewDigits()
    changed.setup()
    changed.test.labels[0] = (changed.test.labels[0] + 1) % 10
    assert changed.fingerprint() != digits.fingerprint()


def test_batches_hold_every_index_once_and_shuffle_anew_each_epoch() -> None:
    indices = BatchIndices(10, batch_size=4, shuffle_seed=3)
    first, second = (torch.cat(list(indices)).tolist() for _ in range(2))
    assert len(indices) == 3
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_evaluation_batches_are_pixels_in_order(digits: FewDigits) -> None:
    pairs = list(digits.batches("test"))
    assert torch.equal(torch.cat([labels for _, labels in pairs]), digits.test.labels)
    assert torch.equal(torch.cat([pixels for pixels, _ in pairs]), digits.test.images / 255)


def test_mnist5k_parts_have_the_promised_sizes() -> None:
    data = MNIST5k()
    data.setup()
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert sizes == [2800, 1200, 1000]
    assert data.input_shape == (1, 28, 28)
    assert data.train.images.dtype == torch.uint8
    assert data.test.labels.bincount().tolist() == [100] * 10


def test_fractions_keep_the_share_of_each_class() -> None:
    data = MNIST5k(DataOptions(train_fraction=0.1, test_fraction=0.5))
    data.setup()
    assert data.sizes() == {"train": 280, "validation": 120, "test": 500}
    assert data.test.labels.bincount().tolist() == [50] * 10
    whole = MNIST5k()
    whole.setup()
    assert data.fingerprint() != whole.fingerprint()


def test_less_can_be_held_out() -> None:
    data = MNIST5k(DataOptions(held_out=0.1))
    data.setup()
    assert data.sizes() == {"train": 3600, "validation": 400, "test": 1000}
    usual = MNIST5k()
    usual.setup()
    assert data.fingerprint() != usual.fingerprint()


@pytest.mark.parametrize(
    ("options", "law"),
    [
        ({"input_size": 0}, "`input_size >= 1`.*0"),
        ({"train_fraction": 0.0}, "`0 < train_fraction <= 1`"),
        ({"test_fraction": 1.5}, "`0 < test_fraction <= 1`"),
        ({"held_out": 0.0}, "`0 < held_out < 1`"),
        ({"augment": "blur"}, "`augment in .*'blur'"),
    ],
)
def test_bad_data_options_are_refused(options: dict, law: str) -> None:
    with pytest.raises(BadInputError, match=law):
        DataOptions(**options)


def test_a_share_that_leaves_a_class_with_nothing_is_one_line() -> None:
    with pytest.raises(BadInputError, match="cannot be split by class"):
        MNIST5k(DataOptions(train_fraction=0.001)).setup()


def test_a_shift_moves_by_one_pixel_of_28_and_never_mirrors() -> None:
    data = FewDigits(DataOptions(augment="shift"))
    data.setup()
    torch.manual_seed(0)
    image = data.train.images[:1]
    padded = functional.pad(image.float(), (1, 1, 1, 1), mode="reflect")
    windows = [
        padded[:, :, top : top + 28, left : left + 28] for top in range(3) for left in range(3)
    ]
    possible = {tuple((window / 255).flatten().tolist()) for window in windows}
    shifted = data.prepare(image.expand(300, 1, 28, 28), augment=True)
    assert {tuple(one.flatten().tolist()) for one in shifted} == possible


def test_augmentation_touches_training_batches_only() -> None:
    data = FewDigits(DataOptions(augment="crop-flip"))
    data.setup()
    torch.manual_seed(0)
    plain = data.prepare(data.train.images[:32], augment=False)
    assert torch.equal(plain, to_pixels(data.train.images[:32]))
    assert not torch.equal(plain, data.prepare(data.train.images[:32], augment=True))
    module = data.for_training(32, 0, LightningModule())
    images, labels = next(iter(module.train_dataloader()))
    pixels, _ = module.on_after_batch_transfer((images, labels), 0)
    assert not torch.equal(pixels, to_pixels(images))


def test_training_inputs_are_spread_over_the_whole_part() -> None:
    data = FewDigits()
    data.setup()
    images = data.train.images
    assert len(images) == 420
    assert torch.equal(data.training_inputs(4), to_pixels(images[[0, 105, 210, 315]]))
    assert torch.equal(data.training_inputs(1000), to_pixels(images))
