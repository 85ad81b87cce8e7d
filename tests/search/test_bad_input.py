"""Every option of every command with values that it cannot take: one line, exit code 2."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from search import dashboard, report, run

MODEL = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.1")

WRONG: list[tuple[tuple[str, ...], str]] = [
    ((), "The following arguments are required: --model"),
    (("--model",), "Argument --model: expected one argument"),
    (("--model", "cn"), r"Unknown model 'cn'\. Known: alexnet, cnn"),
    (("--model", ""), r"Unknown model ''\. Known: "),
    (("--model", "torchvision:x"), r"Unknown torchvision model 'x'\. Known: alexnet"),
    (("--model", "no.such:make"), "`--model no.such:make` cannot be imported: ModuleNotFound"),
    (("--model", "no_such.py:make"), "`--model no_such.py:make` cannot be imported: FileNotFound"),
    ((*MODEL, "--weights", "no/such.ckpt"), "The weights no/such.ckpt cannot be read: No such"),
    (
        (*MODEL, "--layers", "nothing*"),
        r"No layer that can be compressed matches nothing\*\. There",
    ),
    ((*MODEL, "--preset", "slow"), "Argument --preset: invalid choice: 'slow'"),
    ((*MODEL, "--threads", "0"), "Argument --threads: must be greater than 0, but got 0"),
    ((*MODEL, "--threads", "x"), "Argument --threads: must be a whole number, but got 'x'"),
    ((*MODEL, "--workers", "0"), "Argument --workers: must be greater than 0, but got 0"),
    ((*MODEL, "--workers", "1.5"), "Argument --workers: must be a whole number, but got '1.5'"),
    ((*MODEL, "--trials-per-gpu", "0"), "Argument --trials-per-gpu: must be greater than 0"),
    ((*MODEL, "--trials-per-gpu", "2"), "`--trials-per-gpu goes with --accelerator cuda` must"),
    ((*MODEL, "--cluster"), "Argument --cluster: expected one argument"),
    ((*MODEL, "--data", "mnist6k"), r"Unknown data 'mnist6k'\. Known: cifar10, mnist, mnist5k\."),
    ((*MODEL, "--data", "folder:/no/such"), ".*no folder or archive /no/such"),
    ((*MODEL, "--input-size", "0"), "`input_size >= 1` must hold, but got input_size=0"),
    ((*MODEL, "--input-size", "x"), "Argument --input-size: invalid int value: 'x'"),
    ((*MODEL, "--data-memory-gb", "-1"), "`data_memory_gb >= 0` must hold, but got"),
    ((*MODEL, "--train-fraction", "0"), "`0 < train_fraction <= 1` must hold, but got .*=0"),
    ((*MODEL, "--train-fraction", "nan"), "`0 < train_fraction <= 1` must hold, but got .*nan"),
    ((*MODEL, "--held-out", "1"), "`0 < held_out < 1` must hold, but got .*=1"),
    ((*MODEL, "--test-fraction", "2"), "`0 < test_fraction <= 1` must hold, but got .*=2"),
    ((*MODEL, "--augment", "x"), "Argument --augment: invalid choice: 'x'"),
    ((*MODEL, "--study", "a/b"), "A study name must be .* but got 'a/b'"),
    ((*MODEL, "--study", "../a"), r"A study name must be .* but got '\.\./a'"),
    ((*MODEL, "--study", ".."), r"A study name must be .* but got '\.\.'"),
    ((*MODEL, "--study", ""), "A study name must be .* but got ''"),
    ((*MODEL, "--storage", "foo://x"), "The storage foo://x does not open: "),
    ((*MODEL, "--storage", "x"), "The storage URL 'x' is none of SQLAlchemy's"),
    ((*MODEL, "--artifacts", "nonsense"), "`--artifacts is s3://BUCKET/PREFIX, .* got 'nonsense'"),
    ((*MODEL, "--artifacts", "s3://"), "`--artifacts is s3://.* got 's3://': '' names no bucket"),
    ((*MODEL, "--artifacts", "s3:///x"), "`--artifacts is s3://.* '' names no bucket"),
    ((*MODEL, "--artifacts", "ftp://h/x"), "`--artifacts is s3://.* got 'ftp://h/x'"),
    ((*MODEL, "--artifacts", "s3://k:pw@b"), "`--artifacts` takes no credentials in its URL"),
    ((*MODEL, "--artifacts", "s3://[b"), "`--artifacts is s3://.* got 's3://\\[b'"),
    ((*MODEL, "--artifacts", "file:x/y"), "`--artifacts is .*: the folder is an absolute path"),
    ((*MODEL, "--artifacts", "file://x"), "`--artifacts is .*: the folder is an absolute path"),
    (
        (*MODEL, "--artifacts", "file:///no/such"),
        "`--artifacts file:///no/such`: there is",
    ),
    ((*MODEL, "--heartbeat", "0"), "Argument --heartbeat: must be greater than 0, but got 0"),
    ((*MODEL, "--cache-gb", "-1"), "Argument --cache-gb: must be greater than 0, but got -1"),
    ((*MODEL, "--cache-gb", "nan"), "Argument --cache-gb: must be greater than 0, but got nan"),
    ((*MODEL, "--space", "x"), "Argument --space: invalid choice: 'x'"),
    ((*MODEL, "--plan", "{"), "The plan is not JSON: "),
    ((*MODEL, "--plan", "{}"), "The plan has no train, prune, quantize."),
    ((*MODEL, "--sampler", "x"), "Argument --sampler: invalid choice: 'x'"),
    ((*MODEL, "--space", "wide", "--sampler", "grid"), "`--sampler grid` knows no grid of the"),
    ((*MODEL, "--stopping-rule", "x"), "Argument --stopping-rule: invalid choice: 'x'"),
    (
        (*MODEL, "--stopping-rule", "median", "--objective", "pareto"),
        "`--stopping-rule goes with one objective, not with pareto` must hold",
    ),
    ((*MODEL, "--warm-start"), "`--warm-start goes with a sampler and with one sparsity"),
    ((*MODEL, "--confirm", "0"), "Argument --confirm: must be greater than 0, but got 0"),
    ((*MODEL, "--objective", "x"), "Argument --objective: invalid choice: 'x'"),
    ((*MODEL, "--with", "x"), "`--with names some of latency, ram, energy` must hold"),
    ((*MODEL, "--with", "latency"), "`--with latency goes with --objective pareto` must hold"),
    ((*MODEL, "--max-drop", "-1"), "`max_drop >= 0` must hold, but got max_drop=-1"),
    ((*MODEL, "--max-drop", "nan"), "`max_drop >= 0` must hold, but got max_drop=nan"),
    ((*MODEL, "--max-bytes", "-1"), "`max_bytes >= 0` must hold, but got max_bytes=-1"),
    ((*MODEL, "--max-bytes", "1e3"), "Argument --max-bytes: invalid int value: '1e3'"),
    ((*MODEL, "--max-latency-ms", "-1"), "`max_latency_ms >= 0` must hold, but got"),
    ((*MODEL, "--max-ram-kb", "-1"), "`max_ram_kb >= 0` must hold, but got max_ram_kb=-1"),
    ((*MODEL, "--max-flash-kb", "nan"), "`max_flash_kb >= 0` must hold, but got"),
    ((*MODEL, "--runtime", "x"), "Argument --runtime: invalid choice: 'x'"),
    (
        (*MODEL, "--runtime", "tflite-micro", "--precision", "32,16,8"),
        "TensorFlow Lite Micro has no weights of 16 bits: `--precision 32,8` leaves them out",
    ),
    (
        (*MODEL, "--runtime", "tflite-micro", "--precision", "16"),
        "TensorFlow Lite Micro has no weights of 16 bits: name others",
    ),
    (
        (*MODEL, "--runtime", "litert", "--methods", "prune,quantize,huffman"),
        r"`--methods huffman` codes ONNX files, but LiteRT runs \.tflite files",
    ),
    ((*MODEL, "--trials", "0"), "Argument --trials: must be greater than 0, but got 0"),
    ((*MODEL, "--retry-failed", "yes"), "Unrecognized arguments: yes"),
    ((*MODEL, "--quiet", "--json"), "Argument --json: not allowed with argument --quiet"),
    ((*MODEL, "--timeout", "0"), "Argument --timeout: must be greater than 0, but got 0"),
    ((*MODEL, "--timeout", "x"), "Argument --timeout: must be a number, but got 'x'"),
    ((*MODEL, "--task", "binary"), "The task of these data is multiclass, not binary"),
    ((*MODEL, "--metric", "MulticlassF2"), "torchmetrics has no metric 'MulticlassF2'"),
    ((*MODEL, "--metric-args", "3"), "`--metric-args` must be a JSON object, but got '3'"),
    ((*MODEL, "--metric-mode", "min"), "Accuracy takes no `--metric-args`, and more of it is"),
    ((*MODEL, "--methods", "prune,x"), r"Unknown method 'x'\. Known: width, channels"),
    ((*MODEL, "--methods", "cluster,cluster"), "`methods names none twice` must hold"),
    ((*MODEL, "--methods", "cluster", "--space", "paper"), "`--methods goes with --space wide`"),
    ((*MODEL, "--sparsity", "1"), r"`0 <= sparsity < 1` must hold, but got sparsity=1\.0"),
    ((*MODEL, "--sparsity", "0,0"), "`sparsity names no value twice` must hold"),
    ((*MODEL, "--sparsity", ""), "Argument --sparsity: must be numbers .* but got ''"),
    ((*MODEL, "--range", "sparsity=0,1"), "`--range` goes with the space wide, but"),
    (
        (*MODEL, "--space", "wide", "--range", "sparsity=0,1"),
        "`--range sparsity=...`: this space has precision, prune.allocation, prune.density",
    ),
    ((*MODEL, "--space", "wide", "--density", "0.5"), "`--density names two shares of weights"),
    (
        (*MODEL, "--space", "wide", "--density", "0.9,0.1"),
        "`--density names two shares of weights",
    ),
    ((*MODEL, "--precision", "32,7"), r"`bits in \(32, .*, 2\)` must hold, but got bits=7"),
    ((*MODEL, "--precision", "8.5"), "Argument --precision: must be numbers .* but got '8.5'"),
    ((*MODEL, "--allocation", "x"), "Argument --allocation: invalid choice: 'x'"),
    (
        (*MODEL, "--space", "layerwise", "--allocation", "global"),
        "`--allocation` goes with the space paper or wide, but the study's is layerwise",
    ),
    ((*MODEL, "--epochs", "0"), "`epochs >= 1` must hold, but got epochs=0"),
    ((*MODEL, "--fine-tune-epochs", "0"), "`fine_tune_epochs >= 1` must hold, but got"),
    ((*MODEL, "--qat-epochs", "-1"), "`qat_epochs >= 0` must hold, but got qat_epochs=-1"),
    ((*MODEL, "--batch-size", "0"), "`batch_size >= 1` must hold, but got batch_size=0"),
    ((*MODEL, "--lr", "0"), r"`lr > 0` must hold, but got lr=0\.0"),
    ((*MODEL, "--lr", "nan"), "`lr > 0` must hold, but got lr=nan"),
    ((*MODEL, "--baseline-lr", "0"), r"`lr > 0` must hold, but got lr=0\.0"),
    ((*MODEL, "--baseline-optimizer", "x"), "Argument --baseline-optimizer: invalid choice: 'x'"),
    ((*MODEL, "--mixed-precision", "x"), "Argument --mixed-precision: invalid choice: 'x'"),
    ((*MODEL, "--lr-decay", "x"), "Argument --lr-decay: invalid choice: 'x'"),
    ((*MODEL, "--distill-weight", "2"), "`0 <= distill_weight <= 1` must hold, but got"),
    ((*MODEL, "--distill-temperature", "0"), "`distill_temperature > 0` must hold, but got"),
    ((*MODEL, "--seed", "-1"), r"`0 <= seed < 2\*\*32` must hold, but got seed=-1"),
    ((*MODEL, "--accelerator", "mps"), "`--accelerator mps`: this machine has no such device"),
    ((*MODEL, "--sparsty", "0.5"), "Unrecognized arguments: --sparsty 0.5"),
]


def refused(
    main: Callable[[Sequence[str]], int],
    arguments: Sequence[str],
    capsys: pytest.CaptureFixture[str],
) -> str:
    """Return the one line that `main` refuses `arguments` with."""
    try:
        code = main(arguments)
    except SystemExit as exit_:  # argparse's way
        code = int(exit_.code or 0)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(("arguments", "line"), WRONG, ids=[" ".join(a[-2:]) for a, _ in WRONG])
def test_search_refuses_in_one_line_and_writes_nothing(
    arguments: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = tmp_path / "studies"
    given = [*arguments, "--studies-dir", str(studies)]
    if arguments in {(), ("--model",), (*MODEL, "--cluster")}:
        given = list(arguments)
    assert re.match(line, refused(run.main, given, capsys))
    assert not list(tmp_path.rglob("*.db"))
    assert not list(tmp_path.rglob("*.onnx"))


def test_every_option_of_search_is_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out.partition("options:")[2]))
    tried = {argument for arguments, _ in WRONG for argument in arguments}
    any_path = {"--data-root", "--studies-dir"}
    named_in_help = {"--help", "--no-such"}
    assert options - tried - any_path - named_in_help == set()


COMMON = [
    ((), "The following arguments are required: --study"),
    (("--study", "../a"), r"A study name must be .* but got '\.\./a'"),
    (("--study", "none"), r"The storage sqlite:///.*none\.db is not there\."),
    (("--study", "a", "--storage", "x"), "The storage URL 'x' is none of SQLAlchemy's"),
    (("--study", "a", "--model", "cnn"), "Unrecognized arguments: --model cnn"),
]


@pytest.mark.parametrize("main", [report.main, dashboard.main], ids=["report", "dashboard"])
@pytest.mark.parametrize(("arguments", "line"), COMMON)
def test_report_and_dashboard_refuse_in_one_line(
    main: Callable[[Sequence[str]], int],
    arguments: tuple[str, ...],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [*arguments, "--studies-dir", str(tmp_path / "studies")]
    assert re.match(line, refused(main, given, capsys))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["-1", "65536", "x"])
def test_dashboard_refuses_a_port(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(dashboard.main, ["--study", "a", "--port", port], capsys)
    assert line.startswith("Argument --port: ")
    assert port in line


def test_report_refuses_an_unknown_study_beside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--study", "a", "--against", "b/c", "--studies-dir", str(tmp_path)]
    assert "but got 'b/c'" in refused(report.main, given, capsys)
