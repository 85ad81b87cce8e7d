"""Every runtime's file answers as PyTorch's network, and tells its memory."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, rounded, toy_context

from models.data_source import DataOptions
from models.errors import BadInputError
from models.registry import MODELS, ModelSpec
from objectives.artifact.c_source import MAIN, write_c
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_any, measure_file
from objectives.context import Context
from objectives.errors import MeasurementError
from objectives.network.state import NetworkState
from objectives.runtimes import NAMES, runtime_named, runtime_of
from objectives.runtimes.litert import check_alike, is_on_integers
from objectives.runtimes.tflite_micro import MicroNetwork
from objectives.training.activations import attach_activations_

MODEL_NAMES = ("cnn", "lenet5")

STEPS = {"openvino": 2.5}
"""Of the answer's range, where it is not one and a half: it rounds between layers otherwise."""


def quantized(name: str, bits: int = 8) -> tuple[Context, NetworkState]:
    data = FewDigits(DataOptions())
    data.setup()
    context = toy_context(data, model=MODELS.get(name))
    torch.manual_seed(0)
    return context, rounded(context.untrained(), context, bits)


@pytest.fixture(params=MODEL_NAMES)
def network(request: pytest.FixtureRequest) -> tuple[Context, NetworkState]:
    return quantized(request.param)


def written(runtime: str, context: Context, state: NetworkState, folder: Path) -> Path:
    ours = folder / f"{runtime}.onnx"
    ours.write_bytes(export_onnx(state, context))
    shipped = ours.with_suffix(runtime_named(runtime).suffix)
    runtime_named(runtime).write(ours, shipped, context.data)
    return shipped


@pytest.mark.parametrize("runtime", NAMES)
def test_answers_are_pytorchs_within_a_step(
    runtime: str, network: tuple[Context, NetworkState], tmp_path: Path
) -> None:
    context, state = network
    shipped = written(runtime, context, state, tmp_path)
    module = context.network_of(state)
    attach_activations_(module, context.values(state), state.activations)
    inputs = context.data.training_inputs(64)
    with torch.no_grad():
        expected = module(inputs).numpy()
    file = runtime_named(runtime).open(shipped, context.data, threads=1)
    given = np.concatenate([file.answer(file.feeds(one)) for one in inputs.split(1)])
    step = np.ptp(expected) / 255
    assert np.abs(given - expected).max() <= STEPS.get(runtime, 1.5) * step
    assert (given.argmax(1) == expected.argmax(1)).mean() > 0.9


def test_a_microcontroller_answers_as_litert(
    network: tuple[Context, NetworkState], tmp_path: Path
) -> None:
    context, state = network
    shipped = written("tflite-micro", context, state, tmp_path)
    phone, micro = (
        runtime_named(name).open(shipped, context.data, threads=1)
        for name in ("litert", "tflite-micro")
    )
    inputs = [phone.feeds(one) for one in context.data.training_inputs(64).split(1)]
    answers = [
        [file.integers(feeds)[1].astype(int) for file in (phone, micro)] for feeds in inputs
    ]
    assert max(np.abs(one - other).max() for one, other in answers) <= 1


DRIVER = """
#include <stdio.h>
#include "bknn_network.h"
static _Alignas(16) uint8_t arena[BKNN_NETWORK_ARENA_SIZE + 1];
int main(void) {
    int8_t input[BKNN_NETWORK_INPUT_SIZE], output[BKNN_NETWORK_OUTPUT_SIZE];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        bknn_network_infer(arena, input, output);
        fwrite(output, 1, sizeof output, stdout);
    }
    return 0;
}
"""


def compiled(sources: list[Path], program: Path) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc compiles what is tried here")
    command = [gcc, "-std=c11", "-O1", "-Wall", "-Werror", f"-I{sources[0].parent}"]
    subprocess.run([*command, "-o", program, *sources], check=True)
    return program


def test_the_c_answers_as_the_microcontrollers_runtime_on_every_byte(
    network: tuple[Context, NetworkState], tmp_path: Path
) -> None:
    context, state = network
    shipped = written("tflite-micro", context, state, tmp_path)
    made = [file for file in write_c(shipped, tmp_path / "c", context.data) if file.suffix == ".c"]
    check = compiled(made, tmp_path / "check")
    assert subprocess.run([check], capture_output=True, check=False).returncode == 0
    text = (tmp_path / "c" / MAIN).read_text()
    (tmp_path / "c" / MAIN).write_text(
        text.replace(
            "expected[BKNN_NETWORK_OUTPUT_SIZE] = {\n    ",
            "expected[BKNN_NETWORK_OUTPUT_SIZE] = {\n    1 + ",
        )
    )
    wrong = compiled(made, tmp_path / "wrong")
    assert subprocess.run([wrong], capture_output=True, check=False).returncode == 1
    (tmp_path / "driver.c").write_text(DRIVER)
    others = [file for file in made if file.name != MAIN]
    driver = compiled([*others, tmp_path / "driver.c"], tmp_path / "driver")
    micro = MicroNetwork(shipped, context.data)
    pairs = [
        micro.integers(micro.feeds(one)) for one in context.data.training_inputs(200).split(1)
    ]
    given = b"".join(inputs.tobytes() for inputs, _ in pairs)
    answered = subprocess.run([driver], input=given, capture_output=True, check=True).stdout
    assert answered == b"".join(outputs.tobytes() for _, outputs in pairs)


def test_c_is_refused_of_floats(tmp_path: Path, digits: FewDigits) -> None:
    context = toy_context(digits)
    shipped = written("tflite-micro", context, context.untrained(), tmp_path)
    assert not is_on_integers(shipped)
    with pytest.raises(MeasurementError, match=r"C is written of networks that are int8 from"):
        write_c(shipped, tmp_path / "c", digits)


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(784, 4), nn.Linear(784, 4)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        return self.head(torch.cat([self.one(flat), self.two(flat)], 1))


def test_an_operator_that_c_has_not_is_named(tmp_path: Path, digits: FewDigits) -> None:
    context = toy_context(digits, model=ModelSpec(build=lambda *_: Joined(), data="own"))
    state = rounded(context.untrained(), context)
    shipped = written("tflite-micro", context, state, tmp_path)
    with pytest.raises(MeasurementError, match=r"cannot write it as C: .*\bCONCATENATION\b"):
        write_c(shipped, tmp_path / "c", digits)


def test_memory_is_the_arena_or_what_a_process_grows_by(tmp_path: Path) -> None:
    context, state = quantized("cnn")
    memory = {}
    for runtime in NAMES:
        shipped = written(runtime, context, state, tmp_path)
        memory[runtime] = runtime_named(runtime).ram_bytes(shipped, context.data)
        measured = measure_file(shipped, context.data, runtime=runtime_named(runtime))
        if runtime_named(runtime).plans_memory:  # the same without being asked for it
            assert measured.ram_bytes == memory[runtime]
            assert measured.shipped_bytes == shipped.stat().st_size
        else:
            assert measured.ram_bytes is None
            assert measured.shipped_bytes == measured.artifact_bytes
    images = 8112 + 2028  # what the convolution gives, and what is left of it behind the pooling
    assert images <= memory["tflite-micro"] <= images + 2048
    assert all(10**6 < memory[name] < 10**9 for name in NAMES if name != "tflite-micro")


@pytest.mark.parametrize("runtime", NAMES)
def test_few_bits_are_kept(runtime: str, tmp_path: Path) -> None:
    context, state = quantized("lenet5", bits=2)
    shipped = written(runtime, context, state, tmp_path)
    measured = measure_any(shipped, context.data, runtime=runtime_named(runtime))
    (tmp_path / "ours.onnx").write_bytes(export_onnx(state, context))
    assert measured.test_score == pytest.approx(
        measure_any(tmp_path / "ours.onnx", context.data).test_score, abs=2
    )
    types = {each.data_type for each in onnx.load(shipped.with_suffix(".onnx")).graph.initializer}
    assert (onnx.TensorProto.INT2 in types) == (runtime != "openvino")


def test_a_file_that_answers_differently_is_refused(tmp_path: Path) -> None:
    context, state = quantized("lenet5")
    shipped = written("litert", context, state, tmp_path)
    _, other = quantized("lenet5", bits=2)
    ours = tmp_path / "other.onnx"
    ours.write_bytes(export_onnx(other, context))
    file = runtime_named("litert").open(shipped, context.data, threads=1)
    check_alike(tmp_path / "litert.onnx", file, context.data)
    with pytest.raises(MeasurementError, match=r"it answers differently: by .* where answers"):
        check_alike(ours, file, context.data)


@pytest.mark.parametrize(
    ("name", "runtime", "line"),
    [
        ("a.onnx", "litert", r"LiteRT runs \.tflite files, not \.onnx files\."),
        ("a.tflite", "onnxruntime", r"ONNX Runtime runs \.onnx files, not \.tflite files\."),
        ("a.tflite", "openvino", r"OpenVINO runs \.onnx or \.xml files, not \.tflite files\."),
        ("a.xml", "tflite-micro", r"TensorFlow Lite Micro runs \.tflite files, not \.xml files\."),
    ],
)
def test_a_file_of_another_runtime_is_refused_by_name(name: str, runtime: str, line: str) -> None:
    with pytest.raises(MeasurementError, match=line):
        runtime_of(Path(name), runtime)


@pytest.mark.parametrize("runtime", [name for name in NAMES if name != "onnxruntime"])
def test_a_missing_extra_names_the_command(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = runtime_named(runtime)
    monkeypatch.setitem(sys.modules, found.module, None)
    with pytest.raises(BadInputError) as refused:
        found.require()
    command = f"`pip install 'compression-search[{found.extra}]'`"
    assert str(refused.value) == f"{found.title} needs {command}."


@pytest.mark.parametrize("runtime", [name for name in NAMES if name != "onnxruntime"])
def test_nonsense_is_refused_in_a_line(
    runtime: str, tmp_path: Path, digits: FewDigits, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"a{runtime_named(runtime).suffix}"
    file.write_bytes(b"nonsense")
    with pytest.raises(MeasurementError) as refused:
        runtime_named(runtime).open(file, digits, threads=1)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().err == ""
