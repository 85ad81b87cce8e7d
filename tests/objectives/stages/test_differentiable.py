from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from toys import toy_plan

from models.errors import BadInputError
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.score.accuracy import ACCURACY
from objectives.stages.differentiable import DifferentiableQuantization
from objectives.training.codebook import nearest_entries
from objectives.training.k_means import initial_centroids
from objectives.training.learned_points import LearnedPoints


def some_points(bits: int, *, epochs: int = 1) -> DifferentiableQuantization:
    return DifferentiableQuantization(bits=bits, tuning_epochs=epochs, batch_size=128, lr=1e-3)


def test_points_begin_at_quantiles(baseline: NetworkState, context: Context) -> None:
    state = some_points(2, epochs=0).apply(baseline, context)
    before, after = (each.weights["dense.weight"] for each in (baseline, state))
    quantiles = torch.quantile(before, torch.tensor([1 / 8, 3 / 8, 5 / 8, 7 / 8]))
    assert torch.allclose(after.unique(), quantiles, atol=1e-6)
    distances = (before.flatten()[:, None] - after.unique()).abs()
    assert torch.equal((before - after).flatten().abs(), distances.amin(1))


def test_the_gradient_of_a_point_is_the_sum_over_its_weights() -> None:
    """Of autograd, through a table that says which point each weight is nearest to."""
    generator = torch.Generator().manual_seed(0)
    weight, gradient = torch.randn(2, 5, 40, generator=generator)
    points = torch.tensor([1.0, -2.0, 0.1])  # in no order: points may pass one another
    learned = LearnedPoints(points.clone(), None)
    learned(weight).backward(gradient)
    nearest = (weight[..., None] - points).abs().argmin(-1)
    reference = points.clone().requires_grad_()
    reference[nearest].backward(gradient)
    (of_points,) = (each.grad for each in learned.parameters())
    assert torch.allclose(of_points, reference.grad, atol=1e-5)
    assert torch.equal(learned(weight), points[nearest])


def test_weights_are_assigned_anew_as_points_move() -> None:
    weight = torch.tensor([[0.0, 1.0, 2.0, 9.0]])
    learned = LearnedPoints(torch.tensor([0.0, 9.0]), None)
    assert learned.assign(weight).tolist() == [[0, 0, 0, 1]]
    with torch.no_grad():
        next(learned.parameters()).copy_(torch.tensor([0.0, 2.5]))
    assert learned.assign(weight).tolist() == [[0, 0, 1, 1]]
    assert learned(weight).tolist() == [[0, 0, 2.5, 2.5]]


def test_the_file_holds_codes_and_zeros_stay(baseline: NetworkState, context: Context) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = some_points(3).apply(pruned, context)
    model = onnx.load_from_string(export_onnx(state, context))
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for layer, mask in state.masks.items():
        weight = state.weights[f"{layer}.weight"]
        assert bool((weight[~mask] == 0).all())
        points = torch.tensor(numpy_helper.to_array(tensors[f"{layer}.weight_codebook"]))
        codes = numpy_helper.to_array(tensors[f"{layer}.weight"]).astype(int)
        assert tensors[f"{layer}.weight"].data_type == TensorProto.UINT4
        assert np.array_equal(np.unique(codes), np.arange(len(points)))
        assert len(points) == 8 or layer == "conv"  # its points outnumber its 11 weights' groups
        assert torch.equal(points[codes], weight)
        kept = pruned.weights[f"{layer}.weight"][mask]
        distances = (kept[:, None] - points[1:]).abs()
        assert torch.equal((kept - weight[mask]).abs(), distances.amin(1))


def test_points_that_no_weight_has_are_not_in_the_file(
    baseline: NetworkState, context: Context
) -> None:
    pruned = toy_plan(0.9).get("prune").apply(baseline, context)
    state = some_points(6, epochs=0).apply(pruned, context)
    for layer, mask in state.masks.items():
        stored, kept = state.formats[layer], pruned.weights[f"{layer}.weight"][mask]
        assert stored.codes.unique().tolist() == list(range(len(stored.codebook)))
        begin = initial_centroids(kept, 63, "density", torch.Generator())
        expected = begin[nearest_entries(kept, begin)]
        assert torch.equal(state.weights[f"{layer}.weight"][mask], expected)
    assert len(state.formats["conv"].codebook) <= 1 + int(state.masks["conv"].sum()) < 64


def test_a_layer_without_weights_stays_one(baseline: NetworkState, context: Context) -> None:
    mask = torch.zeros_like(baseline.weights["conv.weight"], dtype=torch.bool)
    weights = baseline.weights | {"conv.weight": torch.zeros(mask.shape)}
    state = replace(baseline, weights=weights, masks={"conv": mask})
    after = some_points(2).apply(state, context)
    assert bool((after.weights["conv.weight"] == 0).all())


def test_learned_points_answer_better_than_quantiles(
    baseline: NetworkState, context: Context
) -> None:
    accuracies = [
        ACCURACY.of_network(
            context.network_of(some_points(1, epochs=epochs).apply(baseline, context)),
            context.data,
            "validation",
        )
        for epochs in (0, 4)
    ]
    assert accuracies[1] > accuracies[0]


@pytest.mark.parametrize("settings", [{"bits": 0}, {"bits": 9}, {"tuning_epochs": -1}])
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        replace(some_points(4), **settings)
