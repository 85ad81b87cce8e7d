import pytest
import torch
from toys import FewDigits, StopAfter, toy_context, toy_plan

from objectives.errors import TrainingDivergedError
from objectives.progress import StopRequested
from objectives.state import NetworkState

NOTHING = NetworkState(weights={})


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
