"""What every compression stage owes the pipeline; a new stage is added to `STAGES`."""

from dataclasses import asdict, replace

import pytest
import torch
from toys import FewDigits, toy_context, toy_plan

from objectives.network.state import NetworkState, copy_weights
from objectives.stages.base import StageSettings, Tuning
from objectives.stages.binary import BinaryWeights
from objectives.stages.channels import ChannelRemoval
from objectives.stages.cluster import Clustering
from objectives.stages.factorize import Factorization
from objectives.stages.fixed_point import FixedPoint
from objectives.stages.mixed import MixedPrecision
from objectives.stages.n_m import GroupPruning
from objectives.stages.narrow import NarrowTraining
from objectives.stages.points import QuantizationPoints
from objectives.stages.power_of_two import PowerOfTwo
from objectives.stages.product import ProductQuantization

TUNING = Tuning(epochs=1, qat_epochs=1, batch_size=128, lr=1e-3)


COMMON = {"epochs": 1, "batch_size": 128, "lr": 1e-3}
STAGES = {
    "prune": toy_plan(0.8).get("prune"),
    "quantize to 16 bits": toy_plan(0.0, 16).get("quantize"),
    "quantize to 8 bits": toy_plan(0.0, 8).get("quantize"),
    "quantize to 8 bits untrained": toy_plan(0.0, 8, qat_epochs=0).get("quantize"),
    "mix 2 to 8 bits": MixedPrecision(mean_bits=4.0, qat_epochs=1, batch_size=128, lr=1e-3),
    "share 4 values": Clustering(bits=2, tuning_epochs=1, batch_size=128, lr=1e-3),
    "product": ProductQuantization.start(TUNING),
    "fixed point": FixedPoint.start(TUNING),
    "fixed point of 16 bits": replace(FixedPoint.start(TUNING), bits=16, input_bits=16),
    "power of two": PowerOfTwo.start(TUNING),
    "binary": BinaryWeights.start(TUNING),
    "points": QuantizationPoints.start(TUNING),
    "narrow": NarrowTraining(width=0.5, **COMMON),
    "channels": ChannelRemoval(share=0.5, **COMMON),
    "factorize": Factorization(energy=0.6, **COMMON),
    "n_m": GroupPruning(**COMMON),
}
RESHAPING = ("narrow", "channels", "factorize")
"""Stages after which a network has other tensors."""


@pytest.mark.parametrize("settings", STAGES.values(), ids=STAGES)
class TestCompressionStage:
    def test_leaves_the_state_before_as_it_was(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        before = {name: tensor.clone() for name, tensor in baseline.to_tensors().items()}
        settings.apply(baseline, toy_context(digits))
        after = baseline.to_tensors()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)

    def test_same_seed_same_bits(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        first, second = (
            settings.apply(baseline, toy_context(digits)).to_tensors() for _ in range(2)
        )
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_only_what_says_so_changes_names_and_shapes_of_the_weights(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        after = settings.apply(baseline, toy_context(digits))
        described = [
            {name: (weight.shape, weight.dtype) for name, weight in state.weights.items()}
            for state in (baseline, after)
        ]
        assert (described[0] == described[1]) == (settings.stage not in RESHAPING)

    def test_its_network_can_be_built_again(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        context = toy_context(digits)
        after = settings.apply(baseline, context)
        again = copy_weights(context.network_of(after))
        assert again.keys() == after.weights.keys()
        assert all(torch.equal(again[name], after.weights[name]) for name in again)

    def test_survives_the_cache(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        tensors = settings.apply(baseline, toy_context(digits)).to_tensors()
        again = NetworkState.from_tensors(tensors).to_tensors()
        assert tensors.keys() == again.keys()
        assert all(torch.equal(tensors[name], again[name]) for name in tensors)

    def test_settings_survive_as_plain_data(
        self, settings: StageSettings, baseline: NetworkState, digits: FewDigits
    ) -> None:
        assert type(settings)(**asdict(settings)) == settings
        assert not settings.is_neutral
