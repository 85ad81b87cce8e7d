import torch
from toys import FewDigits

from models.data.mnist5k import MNIST5k
from models.images import BatchIndices, LabelledImages, batches, stratified_split, to_pixels


def test_pixels_are_in_0_to_1() -> None:
    pixels = to_pixels(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert pixels.dtype == torch.float32
    assert pixels.tolist() == [0.0, torch.tensor(0.2).item(), 1.0]


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


def test_batches_in_order_without_a_seed(digits: FewDigits) -> None:
    labels = torch.cat([labels for _, labels in batches(digits.test, 64)])
    assert torch.equal(labels, digits.test.labels)


def test_mnist5k_parts_have_the_promised_sizes() -> None:
    data = MNIST5k(None)
    data.setup()
    sizes = [len(part) for part in (data.train, data.validation, data.test)]
    assert sizes == [2800, 1200, 1000]
    assert data.input_shape == (1, 28, 28)
    assert data.train.images.dtype == torch.uint8
    assert data.test.labels.bincount().tolist() == [100] * 10
