import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from sklearn.cluster import KMeans
from torch import Tensor, nn
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import ModelSpec
from objectives.artifact.export import export_onnx
from objectives.cache.stage_cache import StageCache
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.pipeline import Pipeline
from objectives.plan import Plan
from objectives.score.accuracy import ACCURACY
from objectives.stages.factorize import Factorization
from objectives.stages.product import FEWEST_BLOCKS, ProductQuantization, largest_divisor
from objectives.training.block_groups import group_blocks


def a_product(bits: int = 4, *, epochs: int = 1, **settings: object) -> ProductQuantization:
    common = {"batch_size": 128, "lr": 1e-3}
    return ProductQuantization(bits=bits, tuning_epochs=epochs, **(common | settings))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def correlated_inputs(block: int) -> Tensor:
    mixing = torch.randn(block, block, generator=seeded(2)) * torch.logspace(-2, 1, block)
    return torch.randn(500, block, generator=seeded(3)) @ mixing


@pytest.mark.parametrize("count", [2, 7, 16])
def test_groups_are_scikit_learns_where_inputs_weigh_distances(count: int) -> None:
    blocks = torch.randn(2000, 4, generator=seeded(1))
    x = correlated_inputs(4)
    codebook, codes = group_blocks(blocks, x.T @ x, count, seeded())
    root = torch.linalg.cholesky(x.double().T @ x.double())
    begin = torch.randperm(len(blocks), generator=seeded())[:count]
    points = (blocks.double() @ root).numpy()
    reference = KMeans(count, init=points[begin], n_init=1, max_iter=100, tol=0).fit(points)
    error = float((x.double() @ (blocks - codebook[codes]).double().T).square().sum())
    assert error == pytest.approx(reference.inertia_, rel=1e-3)


def test_weighing_by_inputs_keeps_the_outputs_better() -> None:
    blocks, x = torch.randn(500, 4, generator=seeded(1)), correlated_inputs(4)
    errors = []
    for moments in (x.T @ x, torch.eye(4)):
        codebook, codes = group_blocks(blocks, moments, 8, seeded())
        errors.append(float((x @ (blocks - codebook[codes]).T).square().sum()))
    assert errors[0] < 0.5 * errors[1]


def test_inputs_that_are_always_zero_weigh_nothing() -> None:
    """Four blocks of two numbers by hand: only the first numbers are told apart."""
    blocks = torch.tensor([[0.0, 8], [1, -8], [10, -8], [11, 8]])
    codebook, codes = group_blocks(blocks, torch.diag(torch.tensor([1.0, 0])), 2, seeded())
    assert codes[0] == codes[1] != codes[2] == codes[3]
    assert codebook[codes].tolist() == [[0.5, 0], [0.5, 0], [10.5, 0], [10.5, 0]]


def test_no_entry_is_left_without_blocks() -> None:
    """Most draws begin at one of 100 equal blocks, which need but one entry."""
    far = 10 + torch.rand(20, 3, generator=seeded(1))
    _, codes = group_blocks(torch.cat([torch.zeros(100, 3), far]), torch.eye(3), 8, seeded())
    assert len(codes.unique()) == 8


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 200), st.integers(1, 9)),
    count=st.integers(2, 40),
    steps=st.sampled_from([1, 3, 100]),
    offset=st.sampled_from([0, 1, 1000]),
)
@settings(deadline=None)
def test_no_entry_is_left_over_while_blocks_differ(
    seed: int, shape: tuple[int, int], count: int, steps: int, offset: int
) -> None:
    """Of few or many different blocks, around zero or all on one side of it."""
    blocks = (torch.randn(shape, generator=seeded(seed)) * steps).round() / steps + offset
    x = torch.randn(50, shape[1], generator=seeded(seed + 1))
    count = min(count, max(2, len(blocks) // FEWEST_BLOCKS))
    codebook, codes = group_blocks(blocks, x.T @ x, count, seeded())
    assert len(codebook) == count
    assert len(codes.unique()) == min(count, len(blocks.unique(dim=0)))


def test_equal_blocks_stay_equal() -> None:
    codebook, codes = group_blocks(torch.ones(6, 2), torch.eye(2), 4, seeded())
    assert codebook[codes].tolist() == [[1, 1]] * 6


@pytest.mark.parametrize(
    ("layer", "block"),
    [
        (nn.Linear(48, 3), 8),
        (nn.Linear(30, 3), 6),
        (nn.Linear(7, 3), 7),
        (nn.Linear(11, 3), 1),
        (nn.Conv2d(6, 4, 3), 9),
        (nn.Conv2d(6, 4, 5), 5),
        (nn.Conv2d(6, 12, 3, groups=6), 9),
        (nn.Conv2d(32, 4, 1), 8),
        (nn.Conv1d(6, 4, 3), 3),
        (nn.Conv3d(6, 4, (1, 2, 3)), 6),
        (nn.Embedding(30, 12), 6),
    ],
)
def test_blocks_divide_rows(layer: nn.Module, block: int) -> None:
    assert a_product().block_of(layer.weight) == block
    assert layer.weight[0].numel() % block == 0


def test_the_largest_divisor_by_hand() -> None:
    assert [largest_divisor(12, most) for most in (1, 4, 5, 11, 12, 100)] == [1, 4, 4, 6, 12, 12]


def test_the_file_holds_codes_and_blocks_of_float16(
    baseline: NetworkState, context: Context
) -> None:
    state = a_product(4, first_convolution=True).apply(baseline, context)
    stored = state.formats["dense"]
    assert stored.codebook.shape == (16, 6)  # 2,028 numbers in a row: 6 is the largest divisor
    assert stored.bits_per_weight(has_zeros=False) == pytest.approx(4 / 6)
    weight = state.weights["dense.weight"]
    assert torch.equal(stored.codebook[stored.codes.long()].view_as(weight), weight)
    model = onnx.load_from_string(export_onnx(state, context))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    codes = numpy_helper.to_array(tensors["dense.weight"]).astype(int)
    blocks = numpy_helper.to_array(tensors["dense.weight_codebook"])
    assert tensors["dense.weight"].data_type == onnx.TensorProto.UINT4
    assert blocks.dtype == np.float16
    assert np.array_equal(blocks[codes].reshape(weight.shape), weight.numpy())
    assert tensors["dense.bias"].data_type == onnx.TensorProto.INT8
    assert numpy_helper.to_array(tensors["conv.weight_codebook"]).shape == (3, 9)  # 12 kernels


def test_fine_tuned_blocks_answer_better_than_grouped_ones(
    baseline: NetworkState, context: Context
) -> None:
    accuracies = [
        ACCURACY.of_network(
            context.network_of(a_product(2, epochs=epochs).apply(baseline, context)),
            context.data,
            "validation",
        )
        for epochs in (0, 4)
    ]
    assert accuracies[1] > accuracies[0]


def test_a_plan_that_prunes_is_refused() -> None:
    with pytest.raises(BadInputError, match="prune and product do not go together: blocks mix"):
        toy_plan(0.5).with_stages(a_product())
    unpruned = toy_plan().with_stages(a_product())
    assert Plan.from_json(unpruned.to_json()) == unpruned


class Backwards(nn.Module):
    """Its layers come in another order than it computes them: neither module order nor names."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.a, self.b = nn.Linear(6, 10), nn.Conv2d(8, 6, 3), nn.Conv2d(1, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.a(self.b(x).relu()).mean((2, 3)))


class DenseFirst(nn.Module):
    """A convolution that follows a dense layer is not what the input reaches first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv2d(1, 4, 3), nn.Linear(28, 12)
        self.head = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.dense(x)).mean((2, 3)))


class OfConstants(nn.Module):
    """Computes with a layer before the input reaches any, and with a weight that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.of_constants, self.stem = nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3)
        self.query, self.head = nn.Parameter(torch.ones(1, 1, 3, 3)), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        bias = self.of_constants(self.query)
        weight = self.stem.weight - self.stem.weight.mean((1, 2, 3), keepdim=True)
        return self.head((nn.functional.conv2d(x, weight) + bias).mean((2, 3)))


class Alone(nn.Sequential):
    """One layer only."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 10, 28), nn.Flatten())


@pytest.mark.parametrize(
    ("network", "patterns", "quantized"),
    [
        (Backwards, ("*",), ["head", "a"]),
        (Backwards, ("[ab]",), ["a"]),
        (Backwards, ("head", "a"), ["head", "a"]),
        (Backwards, ("b",), ["b"]),
        (DenseFirst, ("*",), ["conv", "dense", "head"]),
        (OfConstants, ("*",), ["of_constants", "head"]),
        (Alone, ("*",), ["0"]),
    ],
)
def test_the_convolution_that_computes_first_stays_in_floats(
    network: type[nn.Module], patterns: tuple[str, ...], quantized: list[str], digits: FewDigits
) -> None:
    spec = ModelSpec(build=lambda *_: network(), data="own")
    context = toy_context(digits, model=spec, layers=patterns)
    before = context.untrained()
    state = a_product(2, epochs=0).apply(before, context)
    assert list(state.formats) == quantized
    for name in context.layers_of(context.network_of(before)):
        weight = f"{name}.weight"
        is_same = torch.equal(state.weights[weight], before.weights[weight])
        assert is_same == (name not in quantized)
    everything = a_product(2, epochs=0, first_convolution=True).apply(before, context)
    assert everything.formats.keys() == context.layers_of(context.network_of(before)).keys()
    export_onnx(state, context)


def test_the_first_part_of_a_split_convolution_stays_in_floats(
    baseline: NetworkState, context: Context
) -> None:
    split = Factorization(energy=0.6, epochs=1, batch_size=128, lr=1e-3).apply(baseline, context)
    state = a_product(2, epochs=0).apply(split, context)
    layers = list(context.layers_of(context.network_of(split)))
    assert layers[0] == "conv.0"
    assert list(state.formats) == layers[1:]


def test_the_mean_bits_count_the_layer_that_stays_in_floats(
    digits: FewDigits, tmp_path: Path
) -> None:
    pipeline = Pipeline(toy_context(digits), StageCache(tmp_path / "cache"), tmp_path / "b.onnx")
    plan = toy_plan().with_stages(a_product(4, epochs=0))
    assert pipeline.run(plan, tmp_path / "a.onnx").bits == pytest.approx(
        (108 * 32 + 20_280 * 4 / 6) / 20_388
    )


def test_a_plan_of_before_quantizes_all_layers() -> None:
    stored = json.loads(toy_plan().with_stages(a_product()).to_json())
    assert stored["product"].pop("first_convolution") is False
    assert Plan.from_json(json.dumps(stored)).get("product") == a_product(first_convolution=True)


@pytest.mark.parametrize("settings", [{"bits": 0}, {"bits": 13}, {"block": 0}, {"lr": 0.0}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(a_product(), **settings)
