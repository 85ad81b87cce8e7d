"""What each method and each stage is worth."""

from pathlib import Path

import pytest

from search import report, run
from search.results.ranking import SHARES, methods_of, ranking
from search.results.table import StudyTable
from search.storage.study import load_study

FAST = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.3", "--epochs", "1")


def test_methods_are_ranked_over_studies_and_stages_of_the_best_are_weighed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--studies-dir", str(tmp_path))
    grid = ("--sparsity", "0,0.9", "--precision", "32,8", "--objective", "saving")
    shared = ("--methods", "prune,cluster,huffman", "--objective", "saving", "--trials", "2")
    for name, arguments in (("grid", grid), ("shared", shared)):
        command = [*FAST, "--qat-epochs", "1", "--study", name, *folder, *arguments]
        assert run.main(command) == 0
    tables = [
        StudyTable(load_study(name, f"sqlite:///{tmp_path / name}.db"))
        for name in ("grid", "shared")
    ]
    assert {methods_of(row, tables[0].config.coders) for row in tables[0].rows} == {
        (),
        ("prune",),
        ("quantize",),
        ("prune", "quantize"),
    }
    text = ranking(tables, "pipe")
    assert len(text.splitlines()) == 2 + 5
    savings = [float(line.split("|")[3]) for line in text.splitlines()[2:]]
    assert savings == sorted(savings, reverse=True)
    assert ranking(tables[1:], "pipe") == ""

    made = tables[1].attributes[SHARES]
    assert list(made["bytes"]) == [
        "float32, not coded",
        "train, gzip",
        "prune, gzip",
        "cluster, gzip",
        "huffman",
        "huffman, no shared dictionary",
    ]
    *sizes, alone = made["bytes"].values()
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < alone < sizes[-2]
    chosen = next(row for row in tables[1].rows if row.trial.number == made["trial"])
    assert chosen.attribute("container_bytes") == sizes[-1]
    assert chosen.attribute("baseline_bytes") == sizes[1]

    capsys.readouterr()
    assert report.main(["--study", "shared", "--against", "grid", *folder]) == 0
    markdown = (tmp_path / "shared" / "report.md").read_text()
    assert "| prune + cluster + huffman |" in markdown
    assert "| after, in trial" in markdown
