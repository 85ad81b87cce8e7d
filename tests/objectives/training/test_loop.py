import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from toys import FewDigits, StopAfter, toy_context, toy_plan

from models import images
from models.classifier import Classifier
from models.images import LARGEST_RUN_BYTES
from models.registry import MODELS
from objectives.errors import TrainingDivergedError
from objectives.network.state import NetworkState
from objectives.progress import SilentProgress, StopRequested
from objectives.recipe import Recipe
from objectives.training.loop import stage_seed, train_

NOTHING = NetworkState(weights={})

A_CLASSIFIER = Classifier(nn.Linear(1, 1), lr=0.1, steps=1, loss=lambda *_: 0)


def test_training_learns_the_digits(baseline: NetworkState, digits: FewDigits) -> None:
    network = toy_context(digits).network_of(baseline)
    with torch.no_grad():
        logits = network(digits.test.images / 255)
    assert (logits.argmax(1) == digits.test.labels).float().mean() > 0.5


def test_same_seed_same_bits_and_another_seed_other_weights(digits: FewDigits) -> None:
    stage = toy_plan().train
    first, again, other = (
        stage.apply(NOTHING, toy_context(digits, seed=seed)).weights["dense.weight"]
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class BothMoves(FewDigits):
    """Few digits whose training images are moved by chance."""

    augmentation = "shift"


class WithDropout(nn.Module):
    """A linear layer that forgets half of its inputs by chance."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(784, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.dense(functional.dropout(images.flatten(1), training=self.training))
        return logits


@pytest.mark.parametrize("run", [1, 3, 16])
def test_training_equals_a_plain_loop_bit_for_bit(
    run: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "LONGEST_RUN", run)
    data = BothMoves()
    data.setup()
    batch_size, lr, epochs = 32, 0.01, 2
    spec = replace(MODELS.get("cnn"), build=WithDropout)
    steps = _Counts()
    context = toy_context(data, model=spec, recipe=Recipe(lr_decay="cosine"), progress=steps)
    network = WithDropout(10)
    plain = copy.deepcopy(network)
    train_(network, context, stage="train", epochs=epochs, batch_size=batch_size, lr=lr)

    torch.manual_seed(stage_seed(0, "train"))
    optimizer = torch.optim.Adam(plain.parameters(), lr=lr, fused=True)
    order = images.BatchIndices(420, batch_size, stage_seed(0, "train"))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(order))
    loader = DataLoader(data.train, sampler=order, batch_size=None)
    for _ in range(epochs):
        for pixels, labels in loader:
            logits = plain.train()(data.prepare(pixels, augment=True))
            optimizer.zero_grad()
            functional.cross_entropy(logits, labels).backward()
            optimizer.step()
            schedule.step()
    assert torch.equal(network.dense.weight, plain.dense.weight)
    assert steps.count == epochs * 14
    assert steps.epochs == pytest.approx(epochs)


def test_sgd_takes_nesterovs_steps_with_weight_decay(digits: FewDigits) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    plain = copy.deepcopy(network)
    settings: dict[str, Any] = {"stage": "train", "epochs": 1, "batch_size": 210, "lr": 0.1}
    train_(network, toy_context(digits), optimizer="sgd", **settings)

    order = images.BatchIndices(420, 210, stage_seed(0, "train"))
    velocities = [torch.zeros_like(each) for each in plain.parameters()]
    for pixels, labels in DataLoader(digits.train, sampler=order, batch_size=None):
        plain.zero_grad()
        functional.cross_entropy(plain(digits.prepare(pixels, augment=True)), labels).backward()
        for values, velocity in zip(plain.parameters(), velocities, strict=True):
            gradient = values.grad + 5e-4 * values.data
            velocity.mul_(0.9).add_(gradient)
            values.data -= 0.1 * (gradient + 0.9 * velocity)
    torch.testing.assert_close(network[1].weight, plain[1].weight)
    torch.testing.assert_close(network[1].bias, plain[1].bias)


class _Counts(SilentProgress):
    count = 0
    epochs = 0.0

    def advance(self, epochs: float) -> None:
        self.count += 1
        self.epochs += epochs


@pytest.mark.parametrize(("batch_size", "batches"), [(32, 1), (1, 27)])
def test_lightning_is_given_many_small_batches_at_once(
    batch_size: int, batches: int, digits: FewDigits
) -> None:
    loader = digits.for_training(batch_size, 0, A_CLASSIFIER).train_dataloader()
    assert len(loader) == batches
    assert sum(map(len, loader)) == digits.steps_per_epoch(batch_size)


def test_lightning_is_given_large_batches_one_by_one(digits: FewDigits) -> None:
    assert LARGEST_RUN_BYTES < 16 * 420 * 784
    loader = digits.for_training(420, 0, A_CLASSIFIER).train_dataloader()
    assert len(loader) == 1
    assert len(next(iter(loader))) == 1


def test_a_diverging_training_is_an_error_with_stage_and_epoch(digits: FewDigits) -> None:
    stage = toy_plan(lr=1e30).train
    with pytest.raises(TrainingDivergedError, match=r"stage 'train' became nan in epoch 1 of 1"):
        stage.apply(NOTHING, toy_context(digits))


def test_progress_can_stop_a_training(digits: FewDigits) -> None:
    with pytest.raises(StopRequested):
        toy_plan(epochs=50).train.apply(NOTHING, toy_context(digits, progress=StopAfter(2)))


def test_checkpoint_with_adams_moments_is_larger_than_the_weights_thrice_compressed(
    baseline: NetworkState,
) -> None:
    raw = 4 * sum(weight.numel() for weight in baseline.weights.values())
    assert baseline.checkpoint_bytes is not None
    assert 2 * raw < baseline.checkpoint_bytes < 3 * raw
