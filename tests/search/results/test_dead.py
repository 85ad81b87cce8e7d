"""Networks that answer no more are told."""

from optuna import create_study
from optuna.trial import create_trial
from toys import made_attributes

from search.results.dead import BASELINE_CONSTANT, CONSTANT, about_dead, constant
from search.results.table import StudyTable
from search.settings.config import StudyConfig

CONFIG = StudyConfig(model="cnn", data="mnist5k", epochs=1, qat_epochs=1, batch_size=64, lr=0.01)


def sentences(**facts: object) -> list[str]:
    study = create_study()
    study.set_user_attr("config", CONFIG.to_json())
    plan = CONFIG.plan(0.99, 8).to_json()
    study.add_trial(create_trial(value=0.0, user_attrs=made_attributes(plan=plan, **facts)))
    return about_dead(StudyTable(study))


def test_a_trial_that_answers_always_the_same_is_told() -> None:
    told = "every input of the validation part the same."
    assert sentences(**{CONSTANT: True, "sparsity": 0.99}) == [
        f"Trial 0 (99 % sparse, 8 bits) answers {told}"
    ]
    layers = {"nonzero_weights": {"a.weight": (0, 9)}}
    assert sentences(**{CONSTANT: True, "sparsity": 0.99}, **layers) == [
        f"Trial 0 (99 % sparse, 8 bits); no weight is left in a: it answers {told}"
    ]
    (alone,) = sentences(**layers)
    assert "biases alone" in alone
    assert sentences(**{CONSTANT: False}) == sentences() == []
    assert constant({CONSTANT: True}) == "; it answers every input the same"
    assert constant({}) == ""


def test_a_baseline_that_answers_always_the_same_is_told_instead() -> None:
    (told,) = sentences(**{CONSTANT: True, BASELINE_CONSTANT: True})
    assert told.startswith("The uncompressed network itself answers every input")
