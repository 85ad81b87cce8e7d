"""Every plan that a search may come to, whatever methods it has and whatever a sampler says."""

from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.errors import BadInputError
from objectives.plan import METHODS, STAGES, WHY_ONE, Plan, methods_of
from search.sampling.space import WideSpace
from search.settings.config import StudyConfig

T = TypeVar("T")


class AnyTrial:
    """Suggests whatever hypothesis draws, within the bounds; a name always has one value."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        del log
        return self._drawn(name, st.floats(low, high))

    def suggest_int(self, name: str, low: int, high: int) -> int:
        return self._drawn(name, st.integers(low, high))

    def suggest_categorical(self, name: str, choices: tuple[Any, ...]) -> Any:  # noqa: ANN401 - Optuna's type
        return self._drawn(name, st.sampled_from(choices))

    def _drawn(self, name: str, values: st.SearchStrategy[T]) -> T:
        assert name not in self.params
        drawn = self._data.draw(values, label=name)
        self.params[name] = drawn
        return drawn


@given(
    methods=st.lists(st.sampled_from([*METHODS, "distill"]), min_size=1, unique=True),
    data=st.data(),
)
@settings(deadline=None, max_examples=200)
def test_any_plan_of_any_space_survives_json_and_keeps_its_order(
    methods: list[str], data: st.DataObject
) -> None:
    common = {"model": "cnn", "data": "mnist5k", "batch_size": 128, "lr": 1e-3}
    try:
        config = StudyConfig(
            **common, epochs=3, qat_epochs=1, space="wide", methods=tuple(methods)
        )
    except BadInputError:
        assume(False)
    plan = WideSpace(config).suggest(AnyTrial(data))
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert StudyConfig.from_json(config.to_json()) == config
    names = [stage.stage for stage in plan.stages()]
    assert names == [name for name in STAGES if name in names]
    assert names[0] == "train"
    assert set(names[1:]) <= set(methods)
    for kind in WHY_ONE:
        assert len(set(names) & set(methods_of(kind))) <= 1


@given(st.data())
@settings(deadline=None, max_examples=5)
def test_a_study_of_before_goes_on_with_the_names_that_it_has(data: st.DataObject) -> None:
    common = {"model": "cnn", "data": "mnist5k", "batch_size": 128, "lr": 1e-3}
    methods = ("narrow", "points", "quantize")
    config = StudyConfig(**common, epochs=3, qat_epochs=1, space="wide", methods=methods)
    trial = AnyTrial(data)
    plan = WideSpace(config).suggest(trial)
    assert plan.get("width").width == trial.params["narrow.width"]
    if trial.params["representation"] == "points":
        assert plan.get("differentiable").bits == trial.params["points.bits"]
    with pytest.raises(BadInputError, match="names none twice"):
        replace(config, methods=("narrow", "width"))


@given(text=st.text(max_size=60) | st.from_regex(r'\{"(train|prune|cluster)": .{0,30}\}'))
@settings(deadline=None)
def test_what_is_no_plan_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(BadInputError):
        Plan.from_json(text)
