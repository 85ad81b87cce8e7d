import math

import pytest

from objectives.quality import paper_quality, retained_saving
from search.results.paper import paper_rows

TABLE_III = [
    (table, point) for table in ("cnn_mnist", "alexnet_cifar10") for point in paper_rows(table)
]


def test_table_iii_has_34_values() -> None:
    values = [paper_rows(table)[point].quality for table, point in TABLE_III]
    assert sum(value is not None for value in values) == 34


@pytest.mark.parametrize(("table", "point"), [(t, p) for t, p in TABLE_III if p != (0.0, 32)])
def test_eq_5_gives_the_papers_table_iii(table: str, point: tuple[float, int]) -> None:
    rows = paper_rows(table)
    baseline, row = rows[0.0, 32], rows[point]
    quality = paper_quality(
        *point, row.accuracy_pct - baseline.accuracy_pct, baseline.size_bytes / row.size_bytes
    )
    assert quality == pytest.approx(row.quality, abs=2e-4)


def test_the_uncompressed_model_has_neither_quality_nor_saving() -> None:
    assert paper_quality(0.0, 32, 0.0, 1.0) == 0
    assert retained_saving(0.0, 1.0) == 0


def test_saving_by_hand() -> None:
    assert retained_saving(-1.0, 4.0) == pytest.approx(0.75 / math.e)
    assert retained_saving(-1.0, 4.0, tolerance_pp=0.5) == pytest.approx(0.75 / math.e**2)


def test_saving_does_not_pay_for_an_undertrained_baseline() -> None:
    assert retained_saving(20.0, 4.0) == retained_saving(0.0, 4.0) == 0.75


def test_saving_rises_with_accuracy_and_with_reduction_and_stays_below_1() -> None:
    by_accuracy = [retained_saving(delta, 10.0) for delta in (-30, -3, -0.1, 0)]
    by_reduction = [retained_saving(-0.5, factor) for factor in (0.5, 1, 2, 100, 1e9)]
    assert by_accuracy == sorted(by_accuracy)
    assert by_reduction == sorted(by_reduction)
    assert retained_saving(0.0, 1e9) < 1


def test_a_file_larger_than_the_baseline_saves_less_than_nothing() -> None:
    assert retained_saving(0.0, 0.5) == -1
