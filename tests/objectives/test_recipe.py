from dataclasses import replace

import pytest
import torch
from pytorch_lightning import LightningModule
from torch.nn import functional
from toys import FewDigits, toy_context, toy_plan

from models.errors import BadInputError
from models.registry import ModelSpec
from models.tasks import MULTICLASS
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState
from objectives.plan import Plan
from objectives.recipe import MixedPrecision, Recipe, distillation_loss
from objectives.score.accuracy import ACCURACY
from objectives.stages.cluster import Clustering

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
TEACHER = torch.tensor([[1.0, 1.0, 0.0], [0.0, -2.0, 1.0]])
LABELS = torch.tensor([0, 2])


def test_distillation_loss_is_the_formula() -> None:
    loss = distillation_loss(MULTICLASS, LOGITS, TEACHER, LABELS, weight=0.3, temperature=2.0)
    p, q = (TEACHER / 2).softmax(1), (LOGITS / 2).softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    expected = 0.7 * functional.cross_entropy(LOGITS, LABELS) + 0.3 * 4 * divergence
    assert loss == pytest.approx(float(expected), rel=1e-6)


def test_weight_0_is_cross_entropy_and_the_teachers_own_logits_cost_nothing() -> None:
    hard = distillation_loss(MULTICLASS, LOGITS, TEACHER, LABELS, weight=0.0, temperature=2.0)
    assert hard == functional.cross_entropy(LOGITS, LABELS)
    same = distillation_loss(MULTICLASS, TEACHER, TEACHER, LABELS, weight=1.0, temperature=5.0)
    assert float(same) == pytest.approx(0, abs=1e-6)


def test_a_distilled_network_answers_as_its_teacher(
    baseline: NetworkState, context: Context, digits: FewDigits
) -> None:
    """The teacher is told nothing but wrong labels here, and its pupil no labels at all."""
    teacher = replace(baseline, weights=dict(baseline.weights))
    teacher.weights["dense.bias"] = baseline.weights["dense.bias"].roll(1)
    teacher.weights["dense.weight"] = baseline.weights["dense.weight"].roll(1, dims=0)
    distilling = replace(context, recipe=Recipe(distill_weight=1.0), teacher=teacher)
    pupil = toy_plan(0.5, epochs=6, lr=3e-3).get("prune").apply(baseline, distilling)
    pixels = digits.training_inputs(200)
    with torch.no_grad():
        taught, own = (context.network_of(one)(pixels).argmax(1) for one in (teacher, pupil))
    assert float((taught == own).float().mean()) > 0.7
    assert ACCURACY.of_network(context.network_of(pupil), digits, "validation") < 30


def test_cosine_decay_ends_at_0_and_changes_the_result(context: Context) -> None:
    plan = toy_plan(epochs=2)
    plain = plan.train.apply(NetworkState(weights={}), context)
    decaying = replace(context, recipe=Recipe(lr_decay="cosine"))
    first, second = (plan.train.apply(NetworkState(weights={}), decaying) for _ in range(2))
    assert not torch.equal(plain.weights["dense.weight"], first.weights["dense.weight"])
    assert torch.equal(first.weights["dense.weight"], second.weights["dense.weight"])


@pytest.mark.parametrize("asked", ["auto", "bf16", "none"])
def test_mixed_precision_computes_in_bfloat16_and_leaves_float32_weights(
    asked: MixedPrecision, digits: FewDigits
) -> None:
    seen = set()

    class Watched(torch.nn.Sequential):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = super().forward(pixels)
            if self.training:
                seen.add(logits.dtype)
            return logits

    model = ModelSpec(
        build=lambda *_: Watched(torch.nn.Flatten(), torch.nn.Linear(784, 10)), data="own"
    )
    context = toy_context(digits, model=model, recipe=Recipe(mixed_precision=asked))
    state = toy_plan(epochs=1).train.apply(NetworkState(weights={}), context)
    assert seen == {torch.bfloat16 if asked == "bf16" else torch.float32}
    assert {each.dtype for each in state.weights.values() if each.is_floating_point()} == {
        torch.float32
    }
    assert [Recipe(mixed_precision=asked).trains_in_bf16(each) for each in ("cpu", "cuda")] == [
        asked == "bf16",
        asked != "none",
    ]


class Own(LightningModule):
    """Has its own training, in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = torch.nn.Linear(784, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.dense(pixels.flatten(1))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        logits = self(batch[0])
        assert logits.dtype == torch.bfloat16
        return functional.cross_entropy(logits, batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def test_a_network_with_its_own_training_cannot_be_given_a_recipe(digits: FewDigits) -> None:
    model = ModelSpec(build=lambda *_: Own(), data="own")
    context = toy_context(digits, model=model, recipe=Recipe(lr_decay="cosine"))
    with pytest.raises(TrialError, match="has its own training"):
        toy_plan().train.apply(NetworkState(weights={}), context)
    by_sgd = replace(toy_plan().train, optimizer="sgd")
    with pytest.raises(TrialError, match="no other optimizer"):
        by_sgd.apply(NetworkState(weights={}), replace(context, recipe=Recipe()))


def test_mixed_precision_goes_with_a_network_s_own_training(digits: FewDigits) -> None:
    model = ModelSpec(build=lambda *_: Own(), data="own")
    context = toy_context(digits, model=model, recipe=Recipe(mixed_precision="bf16"))
    state = toy_plan(epochs=1).train.apply(NetworkState(weights={}), context)
    assert ACCURACY.of_network(context.network_of(state), digits, "validation") > 30


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_decay": "step"},
        {"mixed_precision": "fp8"},
        {"distill_weight": 1.5},
        {"distill_temperature": 0},
    ],
)
def test_settings_that_break_their_law_are_refused(settings: dict) -> None:
    with pytest.raises(BadInputError, match="must hold, but got"):
        Recipe(**settings)


def test_two_ways_to_store_a_weight_do_not_go_together() -> None:
    cluster = Clustering(bits=2, tuning_epochs=0, batch_size=1, lr=0.1)
    assert not toy_plan(0.9).with_stages(cluster).is_of_the_paper()
    assert toy_plan(0.9, 8).is_of_the_paper()
    with pytest.raises(BadInputError, match="quantize and cluster do not go together: each decid"):
        toy_plan(0.9, 8).with_stages(cluster)


def test_a_plan_with_everything_survives_json() -> None:
    plan = replace(
        toy_plan(0.9), recipe=Recipe(lr_decay="cosine", distill_weight=0.5, mixed_precision="bf16")
    ).with_stages(Clustering(bits=2, layers={"conv": 4}, tuning_epochs=0, batch_size=1, lr=0.1))
    assert Plan.from_json(plan.to_json()) == plan
    assert [stage.stage for stage in plan.stages()] == ["train", "prune", "cluster"]
    assert plan.uncompressed().recipe == Recipe(lr_decay="cosine", mixed_precision="bf16")
    assert [stage.stage for stage in plan.uncompressed().stages()] == ["train"]
