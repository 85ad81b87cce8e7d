from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune
from toys import toy_plan

from models.layers import compressible_layers
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.stages.prune import GradualPruning, scheduled_sparsity
from objectives.training.masks import lamp_score, magnitude_mask, magnitude_masks

TEN = torch.tensor([[0.3, -0.1, 0.9, 0.0, -0.5], [0.2, -0.2, 0.7, 0.4, -0.6]])


def test_mask_by_hand() -> None:
    mask = magnitude_mask(TEN, 0.4)  # 0.0, 0.1, 0.2, 0.2 go
    assert mask.int().tolist() == [[1, 0, 1, 0, 1], [0, 0, 1, 1, 1]]


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 60_000),
    zeros=st.floats(0, 1),
    share=st.floats(0, 1),
    steps=st.sampled_from([3, 1000, 10**7]),
)
@settings(deadline=None, max_examples=60)
def test_a_mask_keeps_what_a_stable_sort_of_the_magnitudes_keeps(
    seed: int, count: int, zeros: float, share: float, steps: int
) -> None:
    """Of weights many of which are zero already or, with few steps, equal."""
    generator = torch.Generator().manual_seed(seed)
    weight = (torch.randn(count, generator=generator) * steps).round() / steps
    weight *= torch.rand(count, generator=generator) >= zeros
    pruned = round(share * count)
    expected = torch.ones(count, dtype=torch.bool)
    expected[weight.abs().sort(stable=True).indices[:pruned]] = False
    assert torch.equal(magnitude_mask(weight, share), expected)


def test_ties_go_to_the_lower_index() -> None:
    assert magnitude_mask(torch.tensor([1.0, -1.0, 1.0, 1.0]), 0.5).tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert magnitude_mask(torch.zeros(4), 0.25).tolist() == [False, True, True, True]


@pytest.mark.parametrize("sparsity", [0.0, 0.01, 0.049, 0.05, 0.051, 0.5, 0.95, 0.99, 0.999])
@pytest.mark.parametrize("count", [1, 2, 10, 108, 20_280])
def test_the_number_of_zeros_is_exact(sparsity: float, count: int) -> None:
    weight = torch.randn(count, generator=torch.Generator().manual_seed(count))
    assert int((~magnitude_mask(weight, sparsity)).sum()) == round(sparsity * count)


def test_sparsity_0_keeps_everything_and_zeros_are_exact_among_zeros() -> None:
    assert magnitude_mask(TEN, 0.0).all()
    assert int((~magnitude_mask(torch.zeros(3, 3), 0.5)).sum()) == 4  # round half to even of 4.5


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_mask_equals_torchs_own(sparsity: float) -> None:
    layer = nn.Linear(40, 30)
    expected = magnitude_mask(layer.weight, sparsity)
    torch_prune.l1_unstructured(layer, "weight", amount=round(sparsity * 1200))
    assert torch.equal(expected, layer.weight_mask.bool())


def test_global_allocation_takes_the_smallest_of_all_layers() -> None:
    weights = {"large": torch.tensor([[5.0, -6.0]]), "small": torch.tensor([0.1, -9.0, 0.2, 7.0])}
    masks = magnitude_masks(weights, 0.5, "global")
    assert masks["large"].tolist() == [[False, True]]
    assert masks["small"].tolist() == [False, True, False, True]
    uniform = magnitude_masks(weights, 0.5, "uniform")
    assert [int((~mask).sum()) for mask in uniform.values()] == [1, 2]


def test_schedule_by_hand() -> None:
    assert scheduled_sparsity(0.0, 0.5, 0.9) == 0.5
    assert scheduled_sparsity(0.5, 0.5, 0.9) == pytest.approx(0.9 - 0.4 / 8)  # Eq. 1
    assert scheduled_sparsity(1.0, 0.5, 0.9) == 0.9
    assert [scheduled_sparsity(part, 0.5, 0.3) for part in (0.0, 0.5, 1.0)] == [0.3] * 3


@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.9, 0.99])
def test_every_layer_has_exactly_its_zeros_after_fine_tuning(
    sparsity: float, baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(sparsity).get("prune").apply(baseline, context)
    for name in compressible_layers(context.build_network()):
        weight, mask = pruned.weights[f"{name}.weight"], pruned.masks[name]
        assert int((~mask).sum()) == round(sparsity * weight.numel())
        assert torch.equal(weight == 0, ~mask)
        assert torch.equal(pruned.weights[f"{name}.bias"] == 0, torch.zeros(len(weight)).bool())


def test_fine_tuning_moves_the_weights_that_are_kept(
    baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.5).get("prune").apply(baseline, context)
    kept = pruned.masks["dense"]
    moved = pruned.weights["dense.weight"][kept] != baseline.weights["dense.weight"][kept]
    assert moved.float().mean() > 0.9


def test_lamp_scores_by_hand() -> None:
    scores = lamp_score(torch.tensor([[1.0, -2.0], [3.0, 0.0]]))
    assert scores.flatten().tolist() == pytest.approx([1 / 14, 4 / 13, 1.0, 0.0])


def test_lamp_never_empties_a_layer_that_global_would() -> None:
    weights = {"large": torch.arange(100.0, 200.0), "small": torch.arange(0.01, 1.01, 0.01)}
    by_magnitude = magnitude_masks(weights, 0.5, "global")
    by_score = magnitude_masks(weights, 0.5, "lamp")
    assert [int(mask.sum()) for mask in by_magnitude.values()] == [100, 0]
    assert sum(int(mask.sum()) for mask in by_score.values()) == 100
    assert all(int(mask.sum()) > 0 for mask in by_score.values())
    for layer, mask in by_score.items():
        assert weights[layer][mask].min() > weights[layer][~mask].max()


def test_pruned_weights_are_0_and_not_minus_0(baseline: NetworkState, context: Context) -> None:
    state = toy_plan(0.9).get("prune").apply(baseline, context)
    for layer, mask in state.masks.items():
        assert not torch.signbit(state.weights[f"{layer}.weight"][~mask]).any()


@pytest.mark.parametrize("ramp", [0.25, 0.5, 1.0])
def test_masks_stay_after_the_ramp(
    ramp: float, baseline: NetworkState, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[float] = []
    renew = GradualPruning._renew

    def watched(self: GradualPruning, progress: float) -> None:
        renewed.append(progress)
        renew(self, progress)

    monkeypatch.setattr(GradualPruning, "_renew", watched)
    settings = replace(toy_plan(0.9, epochs=4).get("prune"), ramp=ramp)
    state = settings.apply(baseline, context)
    steps = 4 * 4  # 420 images in batches of 128
    ramp_steps = round(ramp * steps)
    assert renewed == [step / ramp_steps for step in range(0, ramp_steps + 1, 4)]
    for mask in state.masks.values():
        assert int((~mask).sum()) == round(0.9 * mask.numel())
