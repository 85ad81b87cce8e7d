"""Figures that are shown are those that were measured; what parts from them is found."""

from pathlib import Path

import pytest

from benchmarks.figures.__main__ import documents, faults, main
from benchmarks.figures.blocks import check_blocks, write_blocks
from benchmarks.figures.files import check_files
from benchmarks.figures.prose import check_facts, check_prose, figures
from benchmarks.figures.retrain import COMPARED, check_one_epoch, differing
from benchmarks.figures.rows import check_rows, derived
from objectives.artifact.sizes import gzip_bytes
from objectives.container.format import encode


def test_each_figure_of_readme_and_studies_was_measured() -> None:
    assert faults() == []
    assert len(documents()) >= 7


def test_todays_code_makes_the_committed_row() -> None:
    assert check_one_epoch() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It has 4,538 bytes (16.9x), -0.02 points.", ["4,538", "16.9", "-0.02"]),
        ("98.57 ± 0.01 % on test", ["98.57", "0.01"]),
        ("11 to 22 minutes", ["11", "22"]),
        ("at 90 % and 99 %", ["90", "99"]),
        ("30 trials, 5 seeds, torch 2.13.0, arXiv:1510.00149, `--max-drop 0.5`, 2026", []),
        ("[a](studies/0.5/x.md) in version 1.2.3", []),
        ("```\n0.25 %\n```\n<!-- 0.3 % -->", []),
        ("<!-- figures: grid -->\n| 1.5 |\n<!-- end -->", []),
    ],
)
def test_what_counts_as_a_figure(text: str, found: list[str]) -> None:
    assert figures(text) == found


def test_a_figure_that_no_table_has_is_found(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("97.79 % with 1,235 bytes, 10.0 % less, and 3.1 points lost.")
    (tmp_path / "a.csv").write_text("accuracy,bytes,share\n97.7888,1234.6,0.1\n")
    assert check_prose(readme, [tmp_path]) == [
        f"{readme}: 3.1 is in no committed table, nor in facts.csv."
    ]
    facts = tmp_path / "facts.csv"
    facts.write_text("figure,what,command,commit\n3.1,points lost,,abc\n")
    assert check_prose(readme, [tmp_path]) == []
    assert check_facts(facts) == [f"{facts}: 3.1 has no command."]


def test_a_table_that_was_edited_is_found_and_made_anew(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("Before\n<!-- figures: one -->\n| 2 |\n<!-- end -->\nafter")
    makers = {"one": lambda: "| 1 |"}
    assert "table one is not what" in check_blocks(readme, makers)[0]
    write_blocks(readme, makers)
    assert readme.read_text() == "Before\n<!-- figures: one -->\n| 1 |\n<!-- end -->\nafter"
    assert check_blocks(readme, makers) == []
    assert "nothing makes a table one" in check_blocks(readme, {})[0]


def test_a_row_that_does_not_agree_with_itself_is_found(tmp_path: Path) -> None:
    row = {"artifact_bytes": "1000", "baseline_bytes": "4000", "sparsity": "0.5"}
    row |= {"precision": "8", "val_delta_pct": "-0.5", "test_delta_pct": "0.25"}
    row |= {name: repr(value) for name, value in derived(row)}
    file = tmp_path / "a.csv"
    file.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    assert check_rows(file) == []
    row["saving"] = "0.9"
    file.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    assert check_rows(file)[0].startswith(f"{file}: row 1 has saving 0.9, which should be 0.45")


def test_a_file_of_another_size_is_found(tmp_path: Path) -> None:
    content = b"no network, but bytes" * 9
    (tmp_path / "a.onc").write_bytes(encode(content))
    sizes = [len(encode(content)), len(encode(content, dictionary=b""))]
    sizes += [len(encode(content, ("raw", "huffman"))), gzip_bytes(content)]
    names = "file,container_bytes,no_dictionary_bytes,huffman_bytes,gzip_bytes,raw_bytes"
    listing = tmp_path / "files.csv"
    listing.write_text(f"{names}\na.onc,{','.join(map(str, sizes))},{len(content)}\n")
    assert check_files(tmp_path) == []
    listing.write_text(f"{names}\na.onc,{','.join(map(str, sizes))},7\n")
    assert check_files(tmp_path) == [f"{tmp_path / 'a.onc'}: raw_bytes is 189, not 7."]
    (tmp_path / "a.onc").write_bytes(b"damaged")
    assert "This is no container" in check_files(tmp_path)[0]


def test_rows_are_compared_exactly_on_the_same_processor_only() -> None:
    measured = dict.fromkeys(COMPARED, 1000.0)
    row = dict.fromkeys(COMPARED, "1005")
    assert len(differing(row, measured, exactly=True)) == len(COMPARED)
    assert differing(row, measured, exactly=False) == []
    row["artifact_bytes"] = "1020"
    assert differing(row, measured, exactly=False) == ["artifact_bytes is 1000, committed is 1020"]


def test_the_command_ends_with_1_where_something_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.figures.__main__.faults", lambda _: ["a.md: wrong"])
    assert main([]) == 1
    assert capsys.readouterr().out == "a.md: wrong\n"
