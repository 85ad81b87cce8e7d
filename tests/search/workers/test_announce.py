import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from torch import Tensor, nn
from toys import Between, FewDigits, toy_context

from models.registry import MODELS, ModelSpec
from search.workers.announce import (
    data_told,
    dead_layers,
    integers_told,
    left_told,
    trial_line,
    trial_name,
)


def a_small_network(*_: object) -> Between:
    return Between(lambda a, b: a + b)


def test_what_integers_do_not_make_faster_is_told_before_the_first_trial(
    digits: FewDigits,
) -> None:
    own = toy_context(digits, model=ModelSpec(build=a_small_network, data="own"))
    assert integers_told(own, ("prune", "quantize")) == (
        "quantized, 0 of 4 layers compute on integers, the others on floats: "
        "fewer than 262,144 multiplications an input (4)"
    )
    assert integers_told(own, ("prune",)) == ""
    assert integers_told(toy_context(digits, model=MODELS.get("cnn")), ("quantize",)) == ""


class Upwards(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(784, 49)
        self.up = nn.ConvTranspose2d(1, 10, 7)

    def forward(self, images: Tensor) -> Tensor:
        return self.up(self.dense(images.flatten(1)).view(-1, 1, 7, 7)).mean((2, 3))


def test_weights_that_nothing_compresses_are_told(
    digits: FewDigits, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = toy_context(digits, model=ModelSpec(build=lambda *_: Upwards(), data="own"))
    assert left_told(own) == "left as they are, with 1 % of all weights: up (ConvTranspose2d)"
    assert left_told(toy_context(digits, model=MODELS.get("cnn"))) == ""
    assert data_told(own) == ""
    monkeypatch.setattr(FewDigits, "unhashed", lambda _: "train (the first 7 of 420)")
    assert data_told(own).startswith("data are known by a sample: train (the first 7 of 420); a")


def test_a_layer_without_a_weight_is_told() -> None:
    assert dead_layers({"nonzero_weights": {"a.weight": (3, 9), "b.weight": (1, 2)}}) == ""
    counts = {"a.weight": [0, 9], "b.weight": [1, 2], "c.in_proj_weight": [0, 4]}
    assert dead_layers({"nonzero_weights": counts}) == "; no weight is left in a, c.in_proj_weight"
    assert dead_layers({}) == ""


def test_a_stopped_trial_is_told_with_its_score_where_networks_have_it() -> None:
    facts = {"score_name": "MeanAbsoluteError", "score_mode": "min", "score_is_share": False}
    trial = create_trial(
        state=TrialState.PRUNED, intermediate_values={1: -0.5, 2: -0.25}, user_attrs=facts
    )
    assert trial_line(trial).endswith("stopped early after 2 epochs at 0.2500")
    trial.user_attrs["score_is_of_networks"] = False
    assert trial_line(trial).endswith("stopped early after 2 epochs")


def test_a_trial_is_named_by_its_parameters_where_it_has_any() -> None:
    space = {"rate": FloatDistribution(0.0, 1.0)}
    searched = create_trial(value=0.0, params={"rate": 1 / 3}, distributions=space)
    assert trial_name(searched) == f"trial {searched.number}: rate 0.3333"
    typed = create_trial(value=0.0)
    assert trial_name(typed) == f"trial {typed.number}"
