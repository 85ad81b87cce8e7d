"""Studies whose files are for another runtime, as their users see them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from search import compare, export, report, run
from search.results.front import chosen_trial
from search.storage.study import load_study

SMALL = ("--model", "cnn", "--data", "mnist5k", "--train-fraction", "0.2", "--epochs", "1")
PLAIN = ("--qat-epochs", "0", "--sparsity", "0", "--workers", "1")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runtimes")


def ran(studies: Path, study: str, *arguments: str) -> None:
    folder = ("--studies-dir", str(studies), "--study", study)
    assert run.main([*SMALL, *PLAIN, *folder, *arguments]) == 0


def test_what_fits_a_microcontroller_goes_there_as_c(
    studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = ("--max-ram-kb", "16", "--max-flash-kb", "32")
    ran(studies, "mcu", "--runtime", "tflite-micro", *limits)
    told = capsys.readouterr().out
    assert "kB of RAM" in told
    assert "Bytes, x smaller, Q and U count the file as it lies in flash" in told
    study = load_study("mcu", f"sqlite:///{studies}/mcu.db")
    chosen = chosen_trial(study)
    assert chosen is not None
    facts = chosen.user_attrs
    assert json.loads(facts["plan"])["quantize"]["bits"] == 8  # floats do not fit
    assert facts["artifact"].endswith(".tflite")
    assert facts["artifact_raw_bytes"] == (studies / facts["artifact"]).stat().st_size < 32 * 1024
    assert facts["ram_bytes"] < 16 * 1024
    assert facts["reduction_factor"] == pytest.approx(
        facts["baseline_raw_bytes"] / facts["artifact_raw_bytes"]
    )
    floats = next(t for t in study.trials if t.number != chosen.number)
    assert floats.constraints["max_ram_kb"] > 0
    assert floats.constraints["max_flash_kb"] > 0

    out = tmp_path / "out"
    arguments = ["--study", "mcu", "--studies-dir", str(studies), "--out", str(out)]
    assert export.main([*arguments, "--format", "c"]) == 0
    card = (out / "MODEL_CARD.md").read_text()
    assert "Measured on model.tflite" in card
    assert re.search(r"\| RAM \| 1\d\.\d kB of 1,024 bytes", card)
    summed = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=out, capture_output=True, text=True
    )
    assert summed.returncode == 0
    assert "c/bknn_network.c: OK" in summed.stdout
    if shutil.which("gcc") is not None:
        sources = sorted(str(file) for file in (out / "c").glob("*.c"))
        subprocess.run(["gcc", "-std=c11", "-o", out / "check", *sources], check=True)
        assert subprocess.run([out / "check"], capture_output=True).returncode == 0


def test_a_limit_that_nothing_keeps_is_told(
    studies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(studies, "tiny", "--runtime", "tflite-micro", "--max-ram-kb", "4")
    out = capsys.readouterr().out + (studies / "tiny" / "report.md").read_text()
    assert re.search(
        r"No trial keeps the limits that were set: none is recommended\. The least is 11\.\d+ kB "
        r"of RAM, of trial \d; 4 were asked\.",
        out,
    )


@pytest.mark.parametrize("runtime", ["litert", "openvino", "onnxruntime"])
def test_latency_and_memory_are_objectives(
    runtime: str, studies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = ("--objective", "pareto", "--with", "latency,ram", "--precision", "8")
    ran(studies, runtime, "--runtime", runtime, *extra)
    study = load_study(runtime, f"sqlite:///{studies}/{runtime}.db")
    (trial,) = study.trials
    facts = trial.user_attrs
    assert facts["runtime"] == runtime
    assert trial.values[1:] == [facts["artifact_bytes"], facts["latency_ms"], facts["ram_bytes"]]
    assert facts["ram_bytes"] > 2**20
    assert report.main(["--study", runtime, "--studies-dir", str(studies)]) == 0
    told = (studies / runtime / "report.md").read_text()
    assert "what the resident memory of a process grows by" in told
    out = tmp_path / "out"
    arguments = ["--study", runtime, "--studies-dir", str(studies), "--out", str(out)]
    assert export.main([*arguments, "--format", "openvino"]) == 0
    assert export.main([*arguments[:-1], str(tmp_path / "c"), "--format", "c"]) == 0
    shipped = Path(facts["artifact"]).suffix
    assert (tmp_path / "c" / f"model{shipped}").read_bytes() == (
        studies / facts["artifact"]
    ).read_bytes()  # though C is written of another file
    assert (tmp_path / "c" / "network.tflite").is_file()
    capsys.readouterr()
    files = [str(out / name) for name in ("model.onnx", "model.xml")]
    assert compare.main([*files, "--data", "mnist5k"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]
    scores = [float(row[2]) for row in rows]
    assert abs(scores[0] - scores[1]) < 1  # of the same file, rounded otherwise
    assert compare.main([*files, "--data", "mnist5k", "--runtime", "litert"]) == 2
    assert "LiteRT runs .tflite files, not .onnx files." in capsys.readouterr().err
