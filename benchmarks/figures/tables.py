"""The tables that README.md and the READMEs of `studies/` show, from the committed CSV files."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from tabulate import tabulate

from benchmarks.figures.rows import read
from objectives.quality import retained_saving
from search.results.front import best_no_larger
from search.results.paper import PublishedRow, paper_rows, rerun_rows
from search.results.spread import spread

STUDIES = Path(__file__).parents[2] / "studies"
GRID = STUDIES / "2026-11-27-cnn-mnist"
TFLITE = STUDIES / "2026-11-27-cnn-mnist-tflite"
SEEDS = (0, 1, 2)
Row = Mapping[str, str]


def drawn(rows: Iterable[Sequence[object]], headers: Sequence[str], left: int = 0) -> str:
    """Return a table in Markdown, its first `left` columns to the left."""
    alignment = ["left"] * left + ["right"] * (len(headers) - left)
    drawn = tabulate(rows, headers, "pipe", disable_numparse=True, colalign=alignment)
    return "\n".join(_narrow(line) for line in drawn.splitlines())


def _narrow(line: str) -> str:
    """Return a row of a table without the blanks that align it."""
    if set(line) <= set("|:-"):
        return "|".join(
            "--:" if cell.endswith(":") else ":--" if cell else "" for cell in line.split("|")
        )
    return "| " + " | ".join(cell.strip() for cell in line.strip("|").split("|")) + " |"


def _of_grid(kind: str, sparsity: float, bits: int) -> list[Row]:
    """Return one row of the grid, once for each seed."""
    return [
        row
        for seed in SEEDS
        for row in read(GRID / f"{kind}-seed{seed}.csv")
        if float(row["sparsity"]) == sparsity and int(row["precision"]) == bits
    ]


def _numbers(rows: Sequence[Row], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def _grid_cells(kind: str, sparsity: float, bits: int) -> list[str]:
    rows = _of_grid(kind, sparsity, bits)
    forms = {
        "artifact_bytes": ",.0f",
        "reduction_factor": ".2f",
        "test_accuracy_pct": ".2f",
        "test_delta_pct": "+.2f",
    }
    cells = [spread(_numbers(rows, name), form) for name, form in forms.items()]
    means = [f"{mean(_numbers(rows, name)):.4f}" for name in ("test_quality", "test_saving")]
    return [f"{100 * sparsity:.4g} %", str(bits), *cells, *means]


GRID_HEADERS = ("sparsity", "bits", "bytes", "reduction", "test accuracy %", "delta pp", "Q", "U")


def grid() -> str:
    """Eight rows of the paper's grid, and one by another allocation, beside the paper's."""
    points = [(0.0, 32), (0.0, 8), (0.75, 32), (0.75, 8), (0.9, 32), (0.9, 8), (0.95, 8)]
    points.append((0.99, 8))
    paper, again = paper_rows("cnn_mnist"), rerun_rows("cnn_mnist")
    rows = []
    for point in points:
        published = [*_published(paper[point]), *_published(again[point])]
        rows.append([*_grid_cells("qat", *point), *published])
    first, *rest = _grid_cells("global", 0.99, 8)
    rows.append([f"{first}, `--allocation global`", *rest, *[""] * 4])
    theirs = ["paper: bytes", "accuracy %", "re-run: bytes", "accuracy %"]
    return drawn(rows, [*GRID_HEADERS, *theirs])


def grid_short() -> str:
    """Five rows of the grid in a few columns."""
    rows = []
    for kind, sparsity, bits in (
        ("qat", 0.0, 32),
        ("qat", 0.0, 8),
        ("qat", 0.75, 8),
        ("global", 0.9, 8),
        ("global", 0.95, 8),
    ):
        zeros, stored, *sizes, _, _ = _grid_cells(kind, sparsity, bits)
        rows.append(
            [zeros + (", all layers together" if kind == "global" else ""), stored, *sizes]
        )
    headers = ["weights that are zero", "bits", "bytes", "times less", "test accuracy %"]
    return drawn(rows, [*headers, "against the network as trained, points"])


def _published(row: PublishedRow) -> list[str]:
    return [f"{row.size_bytes:,}", f"{row.accuracy_pct:.2f}"]


def _all_of_grid(kind: str) -> str:
    points = [(s, b) for s in (0.0, 0.5, 0.75, 0.9, 0.95, 0.99) for b in (32, 16, 8)]
    return drawn([_grid_cells(kind, *point) for point in points], GRID_HEADERS)


def grid_qat() -> str:
    """The whole grid with quantization-aware training."""
    return _all_of_grid("qat")


def grid_ptq() -> str:
    """The whole grid, rounded after training."""
    return _all_of_grid("ptq")


def grid_global() -> str:
    """The whole grid, one threshold over all layers."""
    return _all_of_grid("global")


def tflite() -> str:
    """The grid as TensorFlow Lite's files, the paper's own format, beside ours and the paper's."""
    ours, onnx_rows = (
        {
            (float(row["sparsity"]), int(row["precision"])): row
            for row in read(TFLITE / f"{name}.csv")
        }
        for name in ("litert", "onnxruntime")
    )
    paper, again = paper_rows("cnn_mnist"), rerun_rows("cnn_mnist")
    rows = []
    for point, row in ours.items():
        sparsity, bits = point
        mine, theirs = int(row["artifact_bytes"]), int(onnx_rows[point]["artifact_bytes"])
        cells = [f"{100 * sparsity:.4g} %", bits, f"{mine:,}", f"{theirs:,}"]
        cells += [f"{float(row['test_accuracy_pct']):.2f}"]
        cells += [*_published(paper[point]), *_published(again[point])]
        rows.append([*cells, f"{mine / again[point].size_bytes:.2f}"])
    headers = ["sparsity", "bits", "our .tflite", "our .onnx", "accuracy %"]
    headers += ["paper: bytes", "accuracy %", "re-run: bytes", "accuracy %", "ours / re-run"]
    return drawn(rows, headers)


def methods() -> str:
    """Each method's best trial by U on validation, all counted by their containers.

    Product quantization was searched again later.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for file, anew in (("trials", False), ("product", True)):
        for row in read(STUDIES / "2026-11-25-cnn-methods" / f"{file}.csv"):
            if anew or row["study"] != "cnn-product":
                groups[row["study"].removeprefix("cnn-")].append(row)
    best = {
        name: max(rows, key=lambda row: _saving(row, "container_bytes"))
        for name, rows in groups.items()
    }
    rows = [
        [
            name.replace("-", " + "),
            len(groups[name]),
            f"{_saving(row, 'container_bytes'):.4f}",
            f"{100 * float(row['sparsity']):.4g} %, {float(row['mean_bits']):.3g} bits",
            *_sized(row, "container_bytes"),
            *_sized(row, "artifact_bytes"),
            f"{float(row['test_accuracy_pct']):.2f}",
            f"{float(row['test_delta_pct']):+.2f}",
            f"{float(row['latency_ms']):.3f}",
        ]
        for name, row in sorted(
            best.items(), key=lambda item: -_saving(item[1], "container_bytes")
        )
    ]
    headers = ["methods", "trials", "U", "is", "container", "x", "gzip", "x ", "accuracy %"]
    return drawn(rows, [*headers, "delta pp", "latency ms"], left=1)


def _factor(row: Row, size: str) -> float:
    return float(row["baseline_bytes"]) / float(row[size])


def _sized(row: Row, size: str) -> list[str]:
    return [f"{int(row[size]):,}", f"{_factor(row, size):.2f}"]


def _saving(row: Row, size: str) -> float:
    return retained_saving(float(row["val_delta_pct"]), _factor(row, size))


def dominance() -> str:
    """The paper's rows and its re-run's, and the best file on validation that is no larger."""
    ours = read(STUDIES / "2026-11-24-cnn-mnist-pareto" / "search.csv")
    rows = []
    for point, theirs in paper_rows("cnn_mnist").items():
        if point != (0.0, 32):
            again = rerun_rows("cnn_mnist")[point]
            cells = [*_beside(theirs, ours), *_beside(again, ours)]
            rows.append([f"{100 * point[0]:.4g} %", point[1], *cells])
    names = ["bytes", "accuracy %", "ours: bytes", "accuracy %", "reached"]
    headers = [f"paper: {names[0]}", *names[1:], f"re-run: {names[0]}", *names[1:]]
    return drawn(rows, ["sparsity", "bits", *headers])


def _beside(theirs: PublishedRow, ours: Sequence[Row]) -> list[str]:
    best = best_no_larger(
        ours,
        theirs.size_bytes,
        lambda row: (int(row["artifact_bytes"]), float(row["val_accuracy_pct"])),
    )
    assert best is not None
    accuracy = float(best["test_accuracy_pct"])
    reached = "yes" if accuracy >= theirs.accuracy_pct else "no"
    return [*_published(theirs), f"{int(best['artifact_bytes']):,}", f"{accuracy:.2f}", reached]


LENETS = {
    "LeNet-300-100": STUDIES / "2026-11-24-lenet300-deep-compression",
    "LeNet-5": STUDIES / "2026-11-25-lenet5-deep-compression",
}
THEIRS = {"LeNet-300-100": (40, 1.64, 1.58), "LeNet-5": (39, 0.80, 0.74)}
"""Deep Compression, arXiv:1510.00149, Tables 1 to 3: factor, error before and after, percent."""


def deep_compression() -> str:
    """Deep Compression's networks: factors of the raw float32 file, three seeds, beside theirs."""
    rows = []
    for name, folder in LENETS.items():
        seeds, files = read(folder / "seeds.csv"), read(folder / "files.csv")
        raw = float(seeds[0]["baseline_raw_bytes"])
        factor, before, after = THEIRS[name]
        errors = [100 - value for value in _numbers(seeds, "test_accuracy_pct")]
        deltas = _numbers(seeds, "test_delta_pct")
        baseline = [error + delta for error, delta in zip(errors, deltas, strict=True)]
        coded = ("container_bytes", "no_dictionary_bytes", "huffman_bytes")
        rows.append(
            [
                name,
                f"{raw:,.0f}",
                *(
                    spread([raw / value for value in _numbers(files, each)], ".1f")
                    for each in coded
                ),
                factor,
                spread(baseline, ".2f"),
                spread(errors, ".2f"),
                spread(deltas, "+.2f"),
                f"{before:.2f}",
                f"{after:.2f}",
                f"{before - after:+.2f}",
            ]
        )
    headers = ["", "float32 bytes", "x", "x, no dictionary", "x, Huffman", "theirs: x"]
    headers += ["error % before", "after", "delta pp", "theirs: before", "after ", "delta pp "]
    return drawn(rows, headers, left=1)


def _seeds_of(network: str) -> str:
    folder = LENETS[network]
    files = {row["file"]: row for row in read(folder / "files.csv")}
    rows = []
    for row in read(folder / "seeds.csv"):
        raw, file = float(row["baseline_raw_bytes"]), files[f"seed-{row['seed']}.onc"]
        sizes = [int(file[name]) for name in ("container_bytes", "no_dictionary_bytes")]
        cells = [cell for size in sizes for cell in (f"{size:,}", f"{raw / size:.1f}")]
        accuracy, delta = float(row["test_accuracy_pct"]), float(row["test_delta_pct"])
        rows.append([row["seed"], *cells, f"{accuracy:.2f}", f"{delta:+.2f}"])
    headers = ["seed", "bytes", "factor", "without the dictionary", "factor ", "test accuracy %"]
    return drawn(rows, [*headers, "against its own baseline, points"])


def lenet300_seeds() -> str:
    """LeNet-300-100's chosen plan with three seeds."""
    return _seeds_of("LeNet-300-100")


def lenet5_seeds() -> str:
    """LeNet-5's chosen plan with three seeds."""
    return _seeds_of("LeNet-5")


def _stages_of(network: str, theirs: Sequence[str]) -> str:
    sizes = [(row["after"], int(row["bytes"])) for row in read(LENETS[network] / "stages.csv")]
    first = sizes[0][1]
    rows = [
        [after, f"{size:,}", f"{first / size:.1f}", factor]
        for (after, size), factor in zip(sizes, theirs, strict=True)
    ]
    return drawn(rows, ["after", "bytes", "factor", "theirs"], left=1)


def lenet300_stages() -> str:
    """What each stage of LeNet-300-100's chosen plan saves, with seed 0."""
    return _stages_of("LeNet-300-100", ["1", "", "12", "32", "40", ""])


def lenet5_stages() -> str:
    """What each stage of LeNet-5's chosen plan saves, with seed 0."""
    return _stages_of("LeNet-5", ["1", "", "12", "33", "39", ""])


MAKERS: dict[str, Callable[[], str]] = {
    maker.__name__: maker
    for maker in (
        grid,
        grid_short,
        grid_qat,
        grid_ptq,
        grid_global,
        tflite,
        methods,
        dominance,
        deep_compression,
        lenet300_seeds,
        lenet300_stages,
        lenet5_seeds,
        lenet5_stages,
    )
}
"""What may stand between the marks, by name."""
