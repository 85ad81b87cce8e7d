import math

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import numpy_helper
from sklearn.cluster import KMeans
from torch import nn
from toys import toy_plan

from models.errors import BadInputError
from models.layers import compressible_layers
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import count_weights
from objectives.context import Context
from objectives.network.state import LayerFormat, NetworkState
from objectives.stages.cluster import Clustering
from objectives.training.codebook import attach_codebook_, detach_codebook_
from objectives.training.k_means import INITIALIZATIONS, Initialization, initial_centroids, k_means
from objectives.training.masks import magnitude_mask

SEEDED = torch.Generator().manual_seed(0)


def a_clustering(bits: int = 3, *, epochs: int = 1, **settings: object) -> Clustering:
    return Clustering(bits=bits, tuning_epochs=epochs, batch_size=128, lr=1e-3, **settings)


@pytest.mark.parametrize("initialization", ["linear", "density", "random"])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_k_means_is_scikit_learns(initialization: str, count: int) -> None:
    values = torch.randn(3000, generator=torch.Generator().manual_seed(count))
    begin = initial_centroids(values, count, initialization, SEEDED)
    ours, groups = k_means(values, begin)
    points = values.double().numpy()[:, None]
    reference = KMeans(count, init=begin.double().numpy()[:, None], n_init=1, max_iter=300, tol=0)
    reference.fit(points)
    error = float((values - ours[groups]).double().square().sum())
    assert error == pytest.approx(reference.inertia_, rel=1e-4)
    assert torch.equal(ours, ours.sort().values)


def test_initial_centroids_of_ten_numbers_by_hand() -> None:
    values = torch.tensor([0.0, 0, 0, 0, 0, 0, 0, 0, 4, 10])
    assert initial_centroids(values, 3, "linear", SEEDED).tolist() == [0, 5, 10]
    assert initial_centroids(values, 2, "density", SEEDED).tolist() == [0, 0]
    drawn = initial_centroids(values, 12, "random", SEEDED)  # more than there are values
    assert len(drawn) == 12
    assert set(drawn.tolist()) <= {0.0, 4.0, 10.0}


def test_a_group_without_values_takes_half_of_that_with_most_error() -> None:
    """Two of three centroids begin far off: first all six values are cut, then the upper four."""
    values = torch.tensor([13.0, 0.0, 1.0, 10.0, 12.0, 9.0])
    centroids, groups = k_means(values, torch.tensor([0.4, 50.0, 60.0]))
    assert centroids.tolist() == [0.5, 9.5, 12.5]
    assert groups.tolist() == [2, 0, 0, 1, 2, 1]


def test_fewer_different_values_than_centroids_are_all_kept() -> None:
    values = torch.tensor([1.0, 0.0, 1.0, -3.0])
    centroids, groups = k_means(values, torch.linspace(-3, 1, 16))
    assert centroids.tolist() == [-3, 0, 1]
    assert groups.tolist() == [2, 1, 2, 0]


@given(
    values=arrays(
        np.float32,
        st.integers(1, 80),
        elements=st.one_of(
            st.floats(-1, 1, width=32),
            st.sampled_from([0.0, 0.5, np.nextafter(np.float32(0.5), 1)]),
        ),
    ),
    count=st.integers(1, 40),
    initialization=st.sampled_from(INITIALIZATIONS),
)
@settings(deadline=None)
def test_each_group_is_an_interval_with_its_mean_and_none_is_empty(
    values: np.ndarray, count: int, initialization: Initialization
) -> None:
    begin = initial_centroids(torch.from_numpy(values), count, initialization, SEEDED)
    centroids, groups = k_means(torch.from_numpy(values), begin)
    assert groups.unique().tolist() == list(range(len(centroids)))
    assert len(centroids) == min(count, len(np.unique(values)))
    assert torch.equal(centroids, centroids.unique())
    ends = [-np.inf]
    for group, centroid in enumerate(centroids.tolist()):
        own = values[groups.numpy() == group]
        assert ends[-1] < own.min()
        ends.append(own.max())
        assert centroid == pytest.approx(own.astype(float).mean(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_layer_with_few_weights_left_has_each_value_that_its_bits_allow(
    bits: int, initialization: Initialization
) -> None:
    """A tenth is left, far from zero on both sides, where no centroid between them finds any."""
    weight = torch.randn(20, 100, generator=torch.Generator().manual_seed(0))
    mask = magnitude_mask(weight, 0.9)
    settings = a_clustering(bits, initialization=initialization)
    stored = settings._group("layer", weight * mask, mask, SEEDED)
    shared = stored.codebook[stored.codes.long(), 0]
    assert stored.codes.unique().tolist() == list(range(2**bits))
    assert len(shared.unique()) == 2**bits
    assert torch.equal(shared != 0, mask)


def test_the_gradient_of_a_centroid_is_the_sum_of_its_weights_gradients() -> None:
    """Figure 3 of the paper."""
    module = nn.Linear(4, 2, bias=False)
    (layer,) = compressible_layers(module).values()
    codes = torch.tensor([[0, 1, 1, 2], [2, 2, 0, 1]], dtype=torch.int32)
    stored = LayerFormat(bits=2, codebook=torch.tensor([[0.0], [1.0], [-2.0]]), codes=codes)
    shared = attach_codebook_(layer, stored, frozen_zero=True)
    gradient = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]])
    module.weight.backward(gradient)
    (learned,) = shared.parameters()
    assert learned.grad.flatten().tolist() == [2 + 3 + 8, 4 + 5 + 6]
    with torch.no_grad():
        learned.add_(0.5)
    assert detach_codebook_(layer, shared).flatten().tolist() == [0.0, 1.5, -1.5]
    assert module.weight.tolist() == [[0.0, 1.5, 1.5, -1.5], [-1.5, -1.5, 0.0, 1.5]]


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_a_layer_has_as_many_values_as_its_bits_allow_and_zeros_stay(
    bits: int, baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = a_clustering(bits).apply(pruned, context)
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert bool((weight[~mask] == 0).all())
        assert len(weight.unique()) <= len(state.formats[layer].codebook)
        stored = state.formats[layer]
        assert torch.equal(stored.codebook[stored.codes.long(), 0].view_as(weight), weight)
        entries = min(2**bits, 1 + int(mask.sum()))  # all weights differ
        assert stored.bits_per_weight(has_zeros=True) == math.log2(entries)
    dense = a_clustering(bits, epochs=0).apply(baseline, context)
    assert len(dense.weights["dense.weight"].unique()) == 2**bits


def test_the_file_holds_codes_and_answers_as_the_network(
    baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    settings = a_clustering(4, layers={"conv": 2})
    state = settings.apply(pruned, context)
    content = export_onnx(state, context)
    model = onnx.load_from_string(content)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    assert tensors["conv.weight"].data_type == onnx.TensorProto.UINT2
    assert tensors["dense.weight"].data_type == onnx.TensorProto.UINT4
    assert tensors["dense.bias"].data_type == onnx.TensorProto.INT8
    assert numpy_helper.to_array(tensors["dense.weight_codebook"]).shape == (16,)
    counts = count_weights(model)
    assert counts.keys() == {"conv.weight", "dense.weight"}
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert counts[f"{layer}.weight"] == (int((weight != 0).sum()), mask.numel())
    pixels = context.data.training_inputs(64)
    with torch.no_grad():
        expected = context.network_of(state)(pixels).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"input": pixels.numpy()})
    assert np.abs(logits - expected).max() < 1e-4


def test_fine_tuned_centroids_answer_better_than_grouped_ones(
    baseline: NetworkState, context: Context
) -> None:
    from objectives.score.accuracy import ACCURACY

    pruned = toy_plan(0.9, epochs=3).get("prune").apply(baseline, context)
    accuracies = [
        ACCURACY.of_network(
            context.network_of(a_clustering(1, epochs=epochs).apply(pruned, context)),
            context.data,
            "validation",
        )
        for epochs in (0, 4)
    ]
    assert accuracies[1] > accuracies[0]


@pytest.mark.parametrize("settings", [{"bits": 0}, {"bits": 9}, {"initialization": "best"}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        a_clustering(**({"bits": 3} | settings))
