"""What a trial takes, tried before."""

import time
from dataclasses import replace

import pytest
from toys import FewDigits, toy_context, toy_plan

from models.registry import MODELS
from objectives.errors import TrialError
from objectives.preflight import effort
from objectives.preflight.effort import effort_of_file, effort_of_stage, like_its_file
from objectives.runtimes import runtime_named
from objectives.stages.prune import WeightPruning


@pytest.mark.parametrize("part", ["train", "prune", "quantize"])
def test_a_long_training_is_ended_after_a_few_steps(part: str, digits: FewDigits) -> None:
    long = toy_plan(0.5, 8, epochs=2000, qat_epochs=2000).get(part)
    started = time.perf_counter()
    found = effort_of_stage(long, toy_context(digits))
    assert time.perf_counter() - started < 60
    assert 0 < found.per_epoch < 30
    assert 0 <= found.seconds < 30


def test_a_stage_that_cannot_be_tried_counts_nothing_more(digits: FewDigits) -> None:
    class Failing(WeightPruning):
        def apply(self, *_: object) -> None:
            raise TrialError("no")

    stage = Failing(sparsity=0.5, epochs=1, batch_size=128, lr=1e-3)
    assert effort_of_stage(stage, toy_context(digits)).per_epoch == 0


def test_a_file_is_tried_that_has_the_zeros_and_bits_of_its_plan(digits: FewDigits) -> None:
    context = toy_context(digits, model=MODELS.get("lenet300"))
    state = like_its_file(toy_plan(0.9, 8), context)
    layers = context.layers_of(context.network_of(state))
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers.values())
    weights = sum(layer.weight.numel() for layer in layers.values())
    assert zeros / weights == pytest.approx(0.9, abs=0.01)
    assert {stored.bits for stored in state.formats.values()} == {8}
    plain = like_its_file(toy_plan(0.0, 32), context)
    assert plain.formats == plain.masks == {}


def test_a_long_scoring_is_ended_and_counted_whole(
    digits: FewDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches take 0.2 s each, of which only the first is waited for."""

    class Slow(FewDigits):
        def batches(self, part):  # noqa: ANN001, ANN202 - as its own
            for inputs, targets in super().batches(part):
                for pair in zip(inputs.split(20), targets.split(20), strict=True):
                    time.sleep(0.2)
                    yield pair

    monkeypatch.setattr(effort, "TRIED_SECONDS", 0.1)
    slow = Slow()
    slow.setup()
    context = replace(toy_context(digits), data=slow)
    started = time.perf_counter()
    found = effort_of_file(context.untrained(), context, runtime_named("onnxruntime"))
    waited = time.perf_counter() - started
    batches = sum(-(-size // 20) for part, size in slow.sizes().items() if part != "train")
    assert found.seconds - waited == pytest.approx(0.2 * (batches - 2), rel=0.5)
