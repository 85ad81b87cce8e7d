"""Ticks of an axis of bytes, and the mark of the chosen trial."""

import plotly.graph_objects as go
import pytest

from search.reporting.drawing import CHOSEN, Drawing, byte_ticks


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ([921, 10_645], ["1 kB", "3 kB", "10 kB"]),
        ([1053, 3529], ["1 kB", "2 kB", "5 kB"]),
        ([500, 233_000_000], ["1 kB", "10 kB", "100 kB", "1 MB", "10 MB", "100 MB"]),
        ([300, 300], ["200 B", "500 B"]),
        ([1000], ["1 kB"]),
    ],
)
def test_ticks_of_bytes_are_few_and_round(sizes: list[int], told: list[str]) -> None:
    assert byte_ticks(sizes)["ticktext"] == told


def test_the_mark_is_a_point_a_line_or_nowhere_yet() -> None:
    point = Drawing("a", go.Figure(), "", {7: (1, 2)})
    point.mark_(7)
    line = Drawing("b", go.Figure(), "", {7: ([0, 1], [2, 3])})
    line.mark_(7)
    nowhere = Drawing("c", go.Figure(), "", {7: (1, 2)})
    nowhere.mark_(None)
    none = Drawing("d", go.Figure(), "")
    none.mark_(7)
    marks = [
        [(each.name, each.mode, list(each.x), list(each.y)) for each in drawing.figure.data]
        for drawing in (point, line, nowhere, none)
    ]
    assert marks == [
        [(CHOSEN, "markers", [1], [2])],
        [(CHOSEN, "lines", [0, 1], [2, 3])],
        [(CHOSEN, "markers", [], [])],
        [],
    ]
