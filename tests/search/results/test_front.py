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


def a_study(*trials: tuple[int, float, float], **limits: float) -> optuna.Study:
    """Trials of so many bytes, with so much more of the validation score, and so much saving."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for size, delta, saving in trials:
        trial = study.ask()
        facts = made_attributes(saving=saving, shipped_bytes=size, val_delta_pct=delta)
        for name, fact in facts.items():
            trial.set_user_attr(name, fact)
        for name, limit in limits.items():
            trial.set_constraint(name, {"max_bytes": size, "max_drop": -delta}[name] - limit)
        study.tell(trial, (delta, size))
    return study


@pytest.mark.parametrize(
    ("study", "number"),
    [
        (a_study((30, 0.2, 0.5), (20, -0.5, 0.9), (10, -0.51, 0.95)), 1),
        (a_study((20, -0.4, 0.9), (20, -0.1, 0.8)), 1),
        (a_study((20, -0.7, 0.3), (10, -0.8, 0.4), (5, -9.0, 0.1)), 1),
        (a_study((30, 0.0, 0.9), (20, -0.2, 0.8), (10, -0.3, 0.5), max_drop=0.2), 1),
        (a_study((30, 0.0, 0.9), (20, -2.0, 0.8), (10, -3.1, 0.5), max_drop=3), 1),
        (a_study((30, 0.0, 0.9), (12, -0.2, 0.8), max_bytes=10), None),
        (a_study((30, 0.0, 0.2), (10, -5.0, 0.1), max_bytes=10), 1),
    ],
    ids=[
        "the smallest of those that lose half a point",
        "of equals the one that loses least",
        "the largest saving where all lose more",
        "the smallest of those that lose what was said",
        "which may be more",
        "none if none keeps its limits",
        "of those that keep them",
    ],
)
def test_the_chosen_trial(study: optuna.Study, number: int | None) -> None:
    chosen = chosen_trial(study)
    assert (chosen and chosen.number) == number
