"""What is compared is counted alike, chosen on validation, and says so."""

import csv
from typing import Any

import optuna
import pytest
from toys import made_attributes, toy_plan

from objectives.quality import retained_saving
from search.results.counting import counted_alike, reduction_factor, saving
from search.results.front import dominance_table, dominated, front_rows, rivals
from search.results.notes import notes
from search.results.ranking import ranking
from search.results.table import StudyTable
from search.settings.config import StudyConfig
from search.workers.confirm import CONFIRMATION

SETTINGS = {"epochs": 1, "qat_epochs": 1, "batch_size": 1, "lr": 0.1}
GZIP_METHODS = ("prune", "quantize")
CODED_METHODS = (*GZIP_METHODS, "arithmetic")


def a_table(
    *trials: dict[str, Any], methods: tuple[str, ...] = GZIP_METHODS, **attributes: object
) -> StudyTable:
    study = optuna.create_study(direction="maximize")
    config = StudyConfig(model="cnn", data="mnist", space="wide", methods=methods, **SETTINGS)
    for name, value in (attributes | {"config": config.to_json()}).items():
        study.set_user_attr(name, value)
    for facts in trials:
        trial = study.ask()
        for name, fact in made_attributes(baseline_bytes=80_000, **facts).items():
            trial.set_user_attr(name, fact)
        study.tell(trial, 0.0)
    return StudyTable(study)


def file(zipped: int, container: int | None, coder: str | None, **facts: Any) -> dict[str, Any]:
    return facts | {
        "artifact_bytes": zipped,
        "container_bytes": container,
        "container_coder": coder,
        "val_delta_pct": 0.0,
    }


def test_a_study_of_coders_counts_the_container_everywhere_and_says_so() -> None:
    facts = file(9000, 4000, "arithmetic", shipped_bytes=4000, baseline_checkpoint_bytes=240_000)
    table = a_table(facts, methods=CODED_METHODS)
    text = table.text("pipe").splitlines()
    cells = dict(
        zip(*([cell.strip() for cell in line.split("|")] for line in text[::2]), strict=True)
    )
    assert (cells["bytes"], cells["gzip"], cells["x ckpt"]) == ("4,000", "9,000", "60.00")
    assert any(
        "Bytes, x smaller, Q and U count the container: the file coded by ari" in n
        for n in notes(table)
    )


def test_a_study_without_coders_counts_gzip_and_says_so() -> None:
    table = a_table(file(9000, 4000, "arithmetic", baseline_checkpoint_bytes=240_000))
    assert "| 26.67 |" in table.text("pipe").replace("  ", " ").replace("  ", " ")
    assert any("count the file after gzip level 6" in note for note in notes(table))
    assert any("it is not counted" in note for note in notes(table))


def test_studies_are_compared_by_a_size_that_all_have() -> None:
    coded = a_table(file(9000, 6500, "arithmetic"), methods=CODED_METHODS)
    plain = a_table(file(6000, 4500, "arithmetic"))
    large = a_table(file(6000, 4500, "huffman"))
    uncoded = a_table(file(6000, None, None))
    assert counted_alike([coded, plain]) == "arithmetic"
    assert counted_alike([plain, coded]) == "gzip"
    assert counted_alike([coded, large]) == counted_alike([coded, uncoded]) == "gzip"
    (row,) = plain.rows
    assert reduction_factor(row, "arithmetic") == pytest.approx(80_000 / 4500)
    assert saving(row, "arithmetic") == pytest.approx(retained_saving(0.0, 80_000 / 4500))


def test_a_container_of_before_is_known_where_its_study_has_a_coder() -> None:
    coded = a_table(file(9000, 6500, None), methods=CODED_METHODS)
    assert coded.rows[0].size == 6500
    assert counted_alike([coded, a_table(file(6000, 4500, None))]) == "gzip"


def test_methods_are_ranked_by_one_size() -> None:
    """By its container the first would be ahead of the second, counted by gzip."""
    coded = a_table(file(9000, 5000, "arithmetic"), methods=CODED_METHODS)
    plain = a_table(
        file(6000, 4500, "arithmetic", plan=toy_plan(0.5, 8).to_json()), methods=GZIP_METHODS
    )
    for tables, counted, sizes in (
        ([coded, plain], "container, arithmetic", ("4,500", "5,000")),
        ([plain, coded], "gzip", ("6,000", "9,000")),
    ):
        head, _, first, second = ranking(tables, "pipe").splitlines()
        assert f"bytes ({counted})" in head
        assert sizes[0] in first
        assert sizes[1] in second


def test_the_front_and_rivals_are_chosen_on_validation() -> None:
    """The second file is better on test, and worse on validation."""
    better = {"artifact_bytes": 5000, "val_accuracy_pct": 98.0, "test_accuracy_pct": 95.5}
    worse = {"artifact_bytes": 5000, "val_accuracy_pct": 97.0, "test_accuracy_pct": 99.0}
    larger = {"artifact_bytes": 70_000, "val_accuracy_pct": 99.0, "test_accuracy_pct": 97.0}
    table = a_table(better, worse, larger)
    assert [row.trial.number for row in front_rows(table)] == [0, 2]
    for source in ("paper", "re-run"):
        found = rivals(table, source)
        assert {row.trial.number for row in found.values() if row} == {0}
        assert any(row is None for row in found.values())  # smaller than ours
        reached = {point for point in found if found[point] and point[0] >= 0.9}
        accurate = {
            point for point in reached if table.published[source][point].accuracy_pct <= 95.5
        }
        assert set(dominated(table, source)) == accurate
        text = dominance_table(table, source, "pipe")
        assert text.count("yes") == len(accurate)
        assert text.count("missed") == len(found) - len(accurate)
    counts = [len(dominated(table, source)) for source in ("paper", "re-run")]
    said = f"Reached: {counts[0]} of 17 compressed rows of the paper and {counts[1]} of 17"
    assert any(note.startswith(said) for note in notes(table))


def test_the_csv_has_the_bits_that_a_weight_is_stored_as() -> None:
    table = a_table({"mean_bits": 4.0}, {"mean_bits": 5.0213})
    rows = csv.DictReader(table.csv().splitlines())
    assert sorted(row["precision"] for row in rows) == ["4", "5.021"]


@pytest.mark.parametrize(
    ("deltas", "told"),
    [
        ([-0.1], "with one other seed, which tells no spread: test accuracy 98.00 %, against its"),
        ([-0.1, 0.1], "with 2 other seeds, mean ± standard deviation: test accuracy 98.00 ± 0.00"),
    ],
)
def test_one_seed_has_no_spread(deltas: list[float], told: str) -> None:
    made = {
        "trial": 0,
        "seeds": list(range(len(deltas))),
        "test_accuracy_pct": [98.0 for _ in deltas],
        "test_delta_pct": deltas,
        "bytes": [1000 for _ in deltas],
    }
    table = a_table({}, **{CONFIRMATION: made})
    (said,) = [note for note in notes(table) if "confirmed" in note]
    assert told in said
    assert ("±" in said) == (len(deltas) > 1)


def test_zeros_are_said_to_gain_no_time() -> None:
    pruned = {"plan": toy_plan(0.9, 8).to_json()}
    sentence = "Weights that are zero gain bytes, and no time; fewer channels do."
    assert sentence in notes(a_table(pruned))
    assert sentence not in notes(a_table({"plan": toy_plan(0.0, 8).to_json()}))
