"""The table of a terminal."""

import pytest
from optuna import create_study
from optuna.trial import create_trial
from toys import made_attributes

from search.results.fitted_table import fitted
from search.results.table import StudyTable
from search.settings.config import StudyConfig

COMMON = {"model": "cnn", "data": "mnist5k", "epochs": 1, "qat_epochs": 1, "batch_size": 128}


def a_table(*methods: str, metric: str = "accuracy", **settings: object) -> StudyTable:
    space = {"space": "wide", "methods": methods} if methods else {}
    space |= settings
    config = StudyConfig(**COMMON, lr=1e-3, metric=metric, **space)
    study = create_study()
    study.set_user_attr("config", config.to_json())
    plan = config.plan(0.9, 8)
    if methods:
        kinds = [config.tuning, *methods]
        plan = plan_with(config, *kinds[1:])
    for number in range(12):
        facts = made_attributes(plan=plan.to_json(), artifact_bytes=1_000_000 + number)
        facts |= {"sparsity": 0.98765, "mean_bits": 3.25, "score_name": metric}
        study.add_trial(create_trial(value=0.0, user_attrs=facts))
    return StudyTable(study)


def plan_with(config: StudyConfig, *methods: str):  # noqa: ANN201 - a plan
    from objectives.plan import BY_ANY_NAME

    plan = config.plan()
    return plan.with_stages(*(BY_ANY_NAME[name].start(config.tuning) for name in methods))


@pytest.mark.parametrize(
    "table",
    [
        a_table(),
        a_table("channels", "factorize", "cluster"),
        a_table("channels", "n_m", "power_of_two", metric="MulticlassJaccardIndex"),
    ],
    ids=["paper", "methods", "long-metric"],
)
def test_what_decides_fits_80_columns(table: StudyTable) -> None:
    lines = fitted(table, 80).splitlines()
    assert max(map(len, lines)) <= 80
    headings = " ".join(lines[:2])
    for column in ("trial", "bytes", "x smaller", "change pp"):
        assert column in headings
    assert "what it is" in headings or {"sparsity", "bits"} <= set(headings.split())
    told = "".join(fitted(table, 80).split())
    for row in table.rows:
        assert f"{row.size:,}" in told
    assert lines[-1].startswith("The report has ")


def test_what_is_limited_is_shown_in_any_terminal() -> None:
    first, second, *_ = fitted(a_table(max_latency_ms=1.0), 80).splitlines()
    assert first.split() == [
        "trial",
        "what",
        "it",
        "bytes",
        "x",
        "accuracy",
        "change",
        "latency",
    ]
    assert second.split() == ["is", "smaller", "%", "pp", "ms"]
    assert len(first) <= 80


def test_a_wider_terminal_has_more_columns_and_the_widest_all() -> None:
    table = a_table()
    narrow, wide, all_of_them = (fitted(table, width) for width in (80, 120, 1000))
    assert "latency ms" not in narrow
    assert "x ckpt" in wide
    assert "re-run: bytes" not in wide
    assert "The report has" not in all_of_them
    headings = all_of_them.splitlines()[0]
    assert all(table.named(name) in headings for name in table.columns() if name != "x")


@pytest.mark.parametrize("form", ["pipe", "html"])
def test_a_grid_names_its_trials_in_every_table(form: str) -> None:
    assert "trial" in a_table().text(form)
