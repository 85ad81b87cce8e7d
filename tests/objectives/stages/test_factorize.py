from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from torch import nn
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState, copy_weights
from objectives.pipeline import Pipeline
from objectives.stages.factorize import Factorization
from objectives.training.low_rank import factors, rank_of


def a_factorization(energy: float = 0.6, *, epochs: int = 1) -> Factorization:
    return Factorization(energy=energy, epochs=epochs, batch_size=128, lr=1e-3)


def of_rank(rank: int, shape: tuple[int, int], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    outputs, inputs = shape
    return torch.randn(outputs, rank, generator=generator) @ torch.randn(
        rank, inputs, generator=generator
    )


@pytest.mark.parametrize(
    ("energy", "rank"),
    [(0.01, 1), (0.63, 1), (0.65, 2), (0.89, 2), (0.91, 3), (0.98, 3), (1.0, 4)],
)
def test_rank_by_hand(energy: float, rank: int) -> None:
    """Of 100, the squares 64, 26, 9 and 1 are the shares 0.64, 0.90, 0.99 and 1, summed up."""
    assert rank_of(torch.tensor([64.0, 26, 9, 1]).sqrt(), energy) == rank


def test_rank_of_zeros_is_one() -> None:
    assert rank_of(torch.zeros(5), 0.9) == 1


@pytest.mark.parametrize("energy", [0.3, 0.6, 0.8])
def test_the_product_is_scikit_learns_truncation(energy: float) -> None:
    weight = of_rank(40, (40, 90))
    found = factors(weight, energy)
    assert found is not None
    rank = found[0].shape[1]
    reference = TruncatedSVD(rank, algorithm="arpack").fit(weight.double().numpy())
    expected = reference.transform(weight.double().numpy()) @ reference.components_
    assert np.abs((found[0] @ found[1]).numpy() - expected).max() < 1e-4
    kept = np.square(reference.singular_values_).sum() / float(weight.double().square().sum())
    assert kept >= energy
    less = np.square(reference.singular_values_[:-1]).sum()
    assert less / float(weight.double().square().sum()) < energy


def test_all_energy_is_exact_in_as_few_numbers_as_the_rank_allows() -> None:
    weight = of_rank(3, (20, 30)).view(20, 10, 3)
    found = factors(weight, 1.0)
    assert found is not None
    assert [part.shape for part in found] == [(20, 3), (3, 30)]
    assert torch.allclose(found[0] @ found[1], weight.flatten(1), atol=1e-5)
    norms = [float(part.norm()) for part in found]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)  # neither is larger


def test_what_would_not_get_smaller_stays() -> None:
    assert factors(of_rank(5, (10, 10)), 1.0) is None  # 5 * (10 + 10) is not below 100
    assert factors(of_rank(4, (10, 10)), 1.0) is not None


@pytest.mark.parametrize("energy", [0.3, 0.7, 0.95, 1.0])
def test_no_network_has_more_weights_than_before(
    energy: float, baseline: NetworkState, context: Context
) -> None:
    state = a_factorization(energy, epochs=0).apply(baseline, context)
    counts = [sum(w.numel() for w in one.weights.values()) for one in (state, baseline)]
    assert counts[0] <= counts[1]
    if energy == 1:  # a network that was trained has full rank
        assert state.weights.keys() == baseline.weights.keys()


def test_a_network_of_low_rank_answers_as_before(digits: FewDigits) -> None:
    def build(*_: object) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, groups=4),
            nn.Flatten(),
            nn.Linear(16 * 11 * 11, 10),
        )

    context = toy_context(digits, model=ModelSpec(build=build, data="own"))
    weights = copy_weights(context.build_network())
    weights["0.weight"] = of_rank(4, (16, 25)).view(16, 1, 5, 5)
    weights["4.weight"] = of_rank(2, (10, 1936)) / 50
    before = NetworkState(weights=weights)
    after = a_factorization(1.0, epochs=0).apply(before, context)
    assert after.weights["0.0.weight"].shape == (4, 1, 5, 5)
    assert after.weights["0.1.weight"].shape == (16, 4, 1, 1)
    assert after.weights["2.weight"].shape == (16, 4, 3, 3)  # in groups: left alone
    assert after.weights["4.0.weight"].shape == (2, 1936)
    pixels = digits.training_inputs(20)
    with torch.no_grad():
        logits = [context.network_of(state)(pixels) for state in (before, after)]
    assert torch.allclose(*logits, atol=1e-4)


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_the_file_is_smaller_and_answers_as_the_network(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    state = a_factorization(0.6).apply(baseline, context)
    state = toy_plan(0.5).get("prune").apply(state, context)
    if bits < 32:
        state = toy_plan(0.5, bits).get("quantize").apply(state, context)
    content = export_onnx(state, context)
    assert len(content) < 0.7 * len(export_onnx(baseline, context))
    assert list(state.masks) == ["conv.0", "conv.1", "dense.0", "dense.1"]
    for layer, mask in state.masks.items():
        assert bool((state.weights[f"{layer}.weight"][~mask] == 0).all())
    if bits == 8:
        return  # its inputs are rounded in the file only: see test_networks
    pixels = context.data.training_inputs(64)
    with torch.no_grad():
        expected = context.network_of(state)(pixels).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": pixels.numpy()})
    assert np.abs(logits - expected).max() < 1e-4


def test_patterns_of_layers_name_both_factors(baseline: NetworkState, digits: FewDigits) -> None:
    context = toy_context(digits, layers=("dense",))
    state = a_factorization(0.6, epochs=0).apply(baseline, context)
    assert "conv.weight" in state.weights
    assert list(context.layers_of(context.network_of(state))) == ["dense.0", "dense.1"]


def test_weights_that_are_gone_count_as_zero(digits: FewDigits, tmp_path: Path) -> None:
    pipeline = Pipeline(
        toy_context(digits), StageCache(tmp_path / "cache"), tmp_path / "baseline.onnx"
    )
    plan = toy_plan(0.5).with_stages(a_factorization(0.6))
    result = pipeline.run(plan, tmp_path / "a.onnx")
    stored = result.measurement.nonzero_weights
    assert set(stored) == {f"{x}.{part}.weight" for x in ("conv", "dense") for part in "01"}
    kept = sum(nonzero for nonzero, _ in stored.values())
    assert result.sparsity == pytest.approx(1 - kept / (12 * 9 + 2028 * 10), abs=1e-9)
    assert result.bits == 32
    assert result.reduction_factor > 1 / (1 - result.sparsity) / 2


def test_a_network_that_reads_its_layers_itself_fails_the_trial(digits: FewDigits) -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(784, 10)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(pixels.flatten(1), self.dense.weight)

    context = toy_context(digits, model=ModelSpec(build=lambda *_: Reads(), data="own"))
    state = NetworkState(weights=copy_weights(context.build_network()))
    with pytest.raises(TrialError, match=r"cannot be factorized, as it reads layers: .*weight"):
        a_factorization(0.1).apply(state, context)


@pytest.mark.parametrize("settings", [{"energy": 0.0}, {"energy": 1.1}, {"epochs": -1}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        Factorization(**({"energy": 0.5, "epochs": 1, "batch_size": 9, "lr": 0.1} | settings))
