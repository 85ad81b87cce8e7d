"""What every compression stage owes the pipeline; each that is there is found."""

from dataclasses import asdict, replace

import pytest
import torch
from toys import FewDigits, toy_context, toy_plan

from objectives.network.state import NetworkState, copy_weights
from objectives.plan import STAGES, methods_of
from objectives.stages.base import Stage, Tuning
from objectives.stages.factorize import Factorization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.mixed import MixedPrecision

COMMON = {"batch_size": 128, "lr": 1e-3}
TUNING = Tuning(epochs=1, qat_epochs=1, **COMMON)
FOUND: dict[str, Stage] = {name: kind.start(TUNING) for name, kind in STAGES.items()}
"""Each method with the settings that a search begins with; of those that change nothing others."""
CASES = {name: stage for name, stage in FOUND.items() if stage.is_method} | {
    "prune": toy_plan(0.8).get("prune"),
    "quantize": toy_plan(0.0, 8).get("quantize"),
    "quantize to 16 bits": toy_plan(0.0, 16).get("quantize"),
    "quantize untrained": toy_plan(0.0, 8, qat_epochs=0).get("quantize"),
    "mixed": MixedPrecision(mean_bits=4.0, qat_epochs=1, **COMMON),
    "factorize": Factorization(energy=0.6, epochs=1, **COMMON),
    "fixed_point of 16 bits": replace(FixedPoint.start(TUNING), bits=16, input_bits=16),
}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
class TestCompressionStage:
    def test_leaves_the_state_before_as_it_was(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        before = {name: tensor.clone() for name, tensor in baseline.to_tensors().items()}
        settings.apply(baseline, toy_context(digits))
        after = baseline.to_tensors()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_same_seed_same_bits(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        first, second = (
            settings.apply(baseline, toy_context(digits)).to_tensors() for _ in range(2)
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_only_what_says_so_changes_names_and_shapes_of_the_weights(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        after = settings.apply(baseline, toy_context(digits))
        described = [
            {name: (weight.shape, weight.dtype) for name, weight in state.weights.items()}
            for state in (baseline, after)
        ]
        assert (described[0] == described[1]) == (settings.stage not in methods_of("structure"))

    def test_its_network_can_be_built_again(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        context = toy_context(digits)
        after = settings.apply(baseline, context)
        again = copy_weights(context.network_of(after))
        assert again.keys() == after.weights.keys()
        assert all(torch.equal(again[name], after.weights[name]) for name in again)

    def test_survives_the_cache(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        tensors = settings.apply(baseline, toy_context(digits)).to_tensors()
        again = NetworkState.from_tensors(tensors).to_tensors()
        assert tensors.keys() == again.keys()
        assert all(torch.equal(tensors[name], again[name]) for name in tensors)

    def test_settings_survive_as_plain_data(
        self, settings: Stage, baseline: NetworkState, digits: FewDigits
    ) -> None:
        assert type(settings)(**asdict(settings)) == settings
        assert not settings.is_neutral
