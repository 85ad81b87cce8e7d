from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.cluster import Clustering
from objectives.stages.n_m import GroupPruning, n_m_mask


def a_pruning(n: int = 2, m: int = 4, *, epochs: int = 1) -> GroupPruning:
    return GroupPruning(n=n, m=m, epochs=epochs, batch_size=128, lr=1e-3)


def reference(weight: np.ndarray, n: int, m: int) -> np.ndarray:
    """Row by row and group by group, with a stable sort of numpy's."""
    rows = np.moveaxis(weight, 1, -1)
    mask = np.zeros(rows.shape, dtype=bool)
    for place in np.ndindex(rows.shape[:-1]):
        for first in range(0, rows.shape[-1], m):
            group = np.abs(rows[place][first : first + m])
            kept = n if len(group) == m else int(np.ceil(n * len(group) / m))
            mask[place][first + np.argsort(-group, kind="stable")[:kept]] = True
    return np.moveaxis(mask, -1, 1)


def test_two_of_four_by_hand_ties_and_a_short_group() -> None:
    weight = torch.tensor(
        [
            [3.0, -4, 1, 2, 0, 0, 0, 0, -1, 5],
            [1.0, 1, 1, -1, 0, -7, 0, 8, 2, -2],
        ]
    )
    assert n_m_mask(weight, 2, 4).int().tolist() == [
        [1, 1, 0, 0, 1, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 0, 1, 0, 1, 1, 0],
    ]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8), (3, 5), (1, 16), (1, 1)])
@pytest.mark.parametrize("shape", [(6, 16), (3, 13), (4, 10, 3, 3), (2, 7, 5), (3, 1, 2, 2, 2)])
def test_the_mask_is_numpys(n: int, m: int, shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    assert np.array_equal(n_m_mask(weight, n, m).numpy(), reference(weight.numpy(), n, m))


def test_each_group_is_what_torch_prunes_in_it_alone() -> None:
    weight = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    mask = n_m_mask(weight, 3, 4)
    for row, kept in zip(weight, mask, strict=True):
        for group, of_group in zip(row.split(4), kept.split(4), strict=True):
            method = torch_prune.L1Unstructured(amount=1)
            assert torch.equal(of_group, method.compute_mask(group, torch.ones(4)).bool())


@pytest.mark.parametrize("later", ["cluster", 32, 16, 8])
def test_zeros_stay_through_later_stages_and_in_the_file(
    later: str | int, baseline: NetworkState, digits: FewDigits
) -> None:
    context = toy_context(digits)
    state = a_pruning().apply(baseline, context)
    if later == "cluster":
        state = Clustering(bits=4, tuning_epochs=1, batch_size=128, lr=1e-3).apply(state, context)
    elif later != 32:
        state = toy_plan(0.0, later).get("quantize").apply(state, context)
    assert list(state.masks) == ["dense"]  # the convolution reads one channel
    weight = state.weights["dense.weight"]
    assert bool((weight[~state.masks["dense"]] == 0).all())
    assert bool((weight.view(10, 507, 4).count_nonzero(-1) <= 2).all())
    content = export_onnx(state, context)
    counts = count_weights(onnx.load_from_string(content))
    assert counts["dense.weight"] == (int(weight.count_nonzero()), 20280)
    assert counts["dense.weight"][0] <= 10140
    if later == 8:
        return  # its inputs are rounded in the file only: see test_networks
    pixels = digits.training_inputs(64)
    with torch.no_grad():
        expected = context.network_of(state)(pixels).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": pixels.numpy()})
    assert np.abs(logits - expected).max() < 1e-4


class Words(nn.Module):
    """Pixels as words."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.dense = nn.Embedding(30, 12), nn.Linear(12, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.dense(self.words((pixels.flatten(1) * 29).long()).mean(1))


def test_convolutions_have_groups_of_channels_and_embeddings_none(digits: FewDigits) -> None:
    context = toy_context(digits, model=MODELS.get("lenet5"))
    state = NetworkState(weights=copy_weights(context.build_network()))
    state = a_pruning(1, 4, epochs=0).apply(state, context)
    assert list(state.masks) == ["conv2", "dense1", "dense2"]
    kept = state.weights["conv2.weight"].count_nonzero(1)  # (50, 5, 5), of 20 channels
    assert kept.tolist() == torch.full((50, 5, 5), 5).tolist()

    def build(*_: object) -> nn.Module:
        return Words()

    words = toy_context(digits, model=ModelSpec(build=build, data="own"))
    state = NetworkState(weights=copy_weights(words.build_network()))
    assert list(a_pruning(epochs=0).apply(state, words).masks) == ["dense"]


def test_prune_beside_it_is_refused() -> None:
    assert toy_plan(0.0).with_stages(a_pruning()).get("n_m") == a_pruning()
    assert toy_plan(0.5).with_stages(a_pruning(4, 4)).get("n_m") == a_pruning(4, 4)
    with pytest.raises(BadInputError, match="prune and n_m do not go together: each decides"):
        toy_plan(0.5).with_stages(a_pruning())


@pytest.mark.parametrize("settings", [{"n": 0}, {"n": 5}, {"m": 1}, {"epochs": -1}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_pruning(), **settings)
