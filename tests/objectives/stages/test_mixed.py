from itertools import product
from pathlib import Path

import pytest
import torch
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.stages.mixed import MixedPrecision
from objectives.training.bit_allocation import choose_bits
from objectives.training.sensitivity import bits_divergence

SENSITIVITY = {
    "first": {8: 0.0, 4: 0.3, 2: 0.9},
    "middle": {8: 0.0, 4: 0.1, 2: 0.2},
    "last": {8: 0.1, 4: 0.2, 2: 4.0},
}
WEIGHTS = {"first": 10, "middle": 100, "last": 10}


def a_mixture(mean_bits: float = 4.0, **changes: object) -> MixedPrecision:
    settings = {"mean_bits": mean_bits, "qat_epochs": 1, "batch_size": 128, "lr": 1e-3}
    return MixedPrecision(**(settings | changes))


@pytest.mark.parametrize(
    ("mean_bits", "expected"),
    [
        (8.0, (8, 8, 8)),
        (7.99, (8, 8, 4)),  # 0.1; the middle one would pay as much
        (4.6, (8, 4, 4)),  # 0.1 for 5 bytes, where the middle pays it for 25
        (2.8, (8, 2, 4)),
        (2.0, (2, 2, 2)),
    ],
)
def test_a_byte_is_spent_where_it_is_worth_most(
    mean_bits: float, expected: tuple[int, ...]
) -> None:
    bits = choose_bits(SENSITIVITY, WEIGHTS, mean_bits)
    assert tuple(bits.values()) == expected


def test_a_small_layer_does_not_keep_a_large_one_from_the_bits_that_all_could_have() -> None:
    """At 3 bits for each: a greedy search leaves the small one at 8, and the large one at 2."""
    sensitivity = {"small": {8: 0.0, 3: 0.02, 2: 0.1}, "large": {8: 0.0, 3: 0.1, 2: 2.0}}
    assert choose_bits(sensitivity, {"small": 108, "large": 20280}, 3.0) == {
        "small": 3,
        "large": 3,
    }


def test_keeps_every_budget_and_is_the_best_of_all_choices() -> None:
    def added(bits: dict[str, int]) -> float:
        return sum(SENSITIVITY[layer][bits[layer]] for layer in bits)

    def size(bits: dict[str, int]) -> int:
        return sum(WEIGHTS[layer] * bits[layer] for layer in bits)

    every = [dict(zip(WEIGHTS, widths, strict=True)) for widths in product((8, 4, 2), repeat=3)]
    for mean_bits in torch.linspace(2, 8, 25).tolist():
        budget = mean_bits * sum(WEIGHTS.values())
        chosen = choose_bits(SENSITIVITY, WEIGHTS, mean_bits)
        assert size(chosen) <= budget
        best = min(added(bits) for bits in every if size(bits) <= budget)
        assert added(chosen) == pytest.approx(best)


def test_sensitivity_is_the_divergence_of_the_answers(
    baseline: NetworkState, context: Context
) -> None:
    measured = bits_divergence(baseline, context)
    assert measured.keys() == {"conv", "dense"}
    assert all(each[8] < each[4] < each[2] for each in measured.values())
    network = context.network_of(baseline)
    pixels = context.data.training_inputs(512)
    with torch.no_grad():
        intact = network(pixels).softmax(dim=1)
        weight = network.get_parameter("dense.weight")
        scale = weight.abs().amax(dim=1, keepdim=True) / 127
        weight.copy_((weight / scale).round() * scale)
        logits = network(pixels).log_softmax(dim=1)
    expected = float((intact * (intact.log() - logits)).sum(dim=1).mean())
    assert measured["dense"][8] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("mean_bits", [2.0, 3.7, 8.0])
def test_each_layer_is_stored_in_its_bits_and_all_within_the_budget(
    mean_bits: float, baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.5).get("prune").apply(baseline, context)
    state = a_mixture(mean_bits, qat_epochs=0).apply(pruned, context)
    kept = {layer: int(mask.sum()) for layer, mask in pruned.masks.items()}
    total = sum(kept[layer] * state.formats[layer].bits for layer in kept)
    assert total <= mean_bits * sum(kept.values())
    for layer, mask in pruned.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert bool((weight[~mask] == 0).all())
        assert all(len(row.unique()) < 2 ** state.formats[layer].bits for row in weight)


def test_fine_tuning_stops_when_the_network_is_accurate_enough(
    digits: FewDigits, tmp_path: Path
) -> None:
    def epochs_of(stop_within_pp: float | None) -> int:
        plain = toy_plan()
        mixed = a_mixture(8.0, qat_epochs=3, stop_within_pp=stop_within_pp)
        plan = Plan.of(plain.train, plain.get("prune"), plain.get("quantize"), mixed)
        pipeline = Pipeline(
            toy_context(digits), StageCache(tmp_path / "cache"), tmp_path / "baseline.onnx"
        )
        cost = pipeline.run(plan, tmp_path / "artifact.onnx").cost
        return cost.epochs_trained

    assert epochs_of(None) == 1 + 3  # the baseline's one too
    assert epochs_of(100.0) == 1  # any network is accurate enough


@pytest.mark.parametrize(
    "settings", [{"mean_bits": 1.9}, {"mean_bits": 9}, {"stop_within_pp": -1}, {"qat_epochs": -1}]
)
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        a_mixture(**({"mean_bits": 4.0} | settings))
