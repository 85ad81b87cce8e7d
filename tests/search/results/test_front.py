"""Which trials are on the front, how much it covers, and which one to take."""

import optuna
import pytest
from optuna._hypervolume import compute_hypervolume
from toys import made_attributes

from search.results.front import chosen_trial, hypervolume


def test_hypervolume_of_three_points_by_hand() -> None:
    assert hypervolume([(1, 3), (2, 2), (3, 1)], (0, 0)) == 1 + 2 + 3
    assert hypervolume([(1, 3), (2, 2), (1, 1)], (0, 0)) == 3 + 2
    assert hypervolume([(-1, 3), (2, -1)], (0, 0)) == 0
    assert hypervolume([], (0, 0)) == 0


def test_hypervolume_is_optunas() -> None:
    import numpy as np

    points = np.random.default_rng(0).normal(size=(60, 2))
    expected = compute_hypervolume(-points[(points > -0.5).all(axis=1)], np.array([0.5, 0.5]))
    assert hypervolume(map(tuple, points), (-0.5, -0.5)) == pytest.approx(expected)


def a_study(directions: list[str], values: list[tuple[float, ...]]) -> optuna.Study:
    study = optuna.create_study(directions=directions)
    for value in values:
        trial = study.ask()
        for name, fact in made_attributes(saving=value[0]).items():
            trial.set_user_attr(name, fact)
        trial.set_constraint("max_bytes", value[-1] - 10)
        study.tell(trial, value)
    return study


def test_the_chosen_trial_keeps_its_limits_and_has_the_largest_saving() -> None:
    study = a_study(["maximize", "minimize"], [(3.0, 20.0), (1.0, 4.0), (2.0, 9.0)])
    chosen = chosen_trial(study)
    assert chosen is not None
    assert chosen.number == 2
    assert chosen_trial(a_study(["maximize", "minimize"], [(3.0, 20.0)])) is None
    best = chosen_trial(a_study(["maximize"], [(3.0,), (5.0,), (4.0,)]))
    assert best is not None
    assert best.number == 1


def test_where_it_was_said_what_may_be_lost_the_smallest_is_chosen() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for saving, size, drop in [(0.9, 30, 0.0), (0.8, 20, 0.2), (0.5, 10, 0.3)]:
        trial = study.ask()
        facts = made_attributes(saving=saving, shipped_bytes=size)
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        trial.set_constraint("max_drop", drop - 0.2)
        study.tell(trial, (-drop, size))
    chosen = chosen_trial(study)
    assert chosen is not None
    assert chosen.user_attrs["shipped_bytes"] == 20
