"""Files for LiteRT answer as our own, which answer as the network."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, rounded, toy_context

from models.data_source import DataOptions
from models.registry import MODELS, ModelSpec
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_any
from objectives.errors import MeasurementError
from objectives.litert.convert import write_tflite
from objectives.litert.network import LiteRtNetwork
from objectives.runtimes import runtime_named
from objectives.stages.quantize import Quantization


class Mobile(nn.Module):
    """What MobileNets are made of: channel by channel, hard activations, squeeze and excite."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 5, 1, 2, groups=8), nn.ReLU6())
        self.squeeze = nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1))
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(8 * 7 * 7, 10)

    def forward(self, images: Tensor) -> Tensor:
        before = self.first(images)
        after = self.depth(before)
        gate = nn.functional.hardsigmoid(self.squeeze(after.mean((2, 3), keepdim=True)))
        return self.head(self.pool(before + after * gate).flatten(1))


class Branches(nn.Module):
    """Branches side by side, paddings that LiteRT lacks, a norm behind no layer, a map back."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.one = nn.Conv2d(1, 3, 3, 2, 0)
        self.two = nn.Conv2d(1, 5, 5, 2, 1, dilation=1)
        self.mix = nn.Conv2d(8, 6, 3, 1, 1)
        self.head = nn.Linear(6, 10)

    def forward(self, images: Tensor) -> Tensor:
        normed = self.norm(images)
        both = torch.cat([self.one(normed), self.two(normed)], 1)
        mixed = nn.functional.leaky_relu(self.mix(torch.sigmoid(both)), 0.1)
        return self.head(nn.functional.max_pool2d(mixed, 2).mean((2, 3)))


class Resized(nn.Module):
    """Maps made larger and smaller, parts of them, more around them, patches of all sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 8, 3, 2, 1)
        self.up = nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1)
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        self.smooth = nn.Upsample(scale_factor=2, mode="bilinear")
        self.mix = nn.Conv2d(20, 8, 3, 2, groups=4)
        self.ceil = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.adapt = nn.AdaptiveAvgPool2d(4)
        self.head = nn.Linear(8 * 16, 10)

    def forward(self, images: Tensor) -> Tensor:
        small = self.down(nn.functional.pad(images, (1, 1, 1, 1), mode="reflect"))[:, :, :14, :14]
        one, two = small.chunk(2, 1)
        both = [self.up(small), self.grow(one), self.smooth(two), self.grow(small)]
        mixed = self.mix(nn.functional.pad(torch.cat(both, 1), (0, 1, 2, 0), value=0.5))
        return self.head(self.adapt(self.ceil(mixed)).flatten(1))


class Dense(nn.Module):
    """What is rounded in one scale goes side by side with what has another, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU())
        self.second = nn.Conv2d(6, 6, 3, 1, 1)
        self.third = nn.Sequential(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 6, 3, 1, 1))
        self.norm = nn.BatchNorm2d(18)
        self.head = nn.Linear(18, 10)

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        second = torch.cat([first, self.second(first) - 1], 1)
        both = torch.cat([second, 5 * self.third(second)], 1)
        return self.head(self.norm(both).mean((2, 3)))


class Parted(nn.Module):
    """Parts of a sum: one is rounded, and another, which is larger, is not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 6, 3, 2, 1), nn.ReLU())
        self.second = nn.Conv2d(6, 6, 3, 1, 1)
        self.third = nn.Conv2d(3, 3, 3, 1, 1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Linear(3, 10)
        with torch.no_grad():
            self.second.bias[3:] -= 5

    def forward(self, images: Tensor) -> Tensor:
        first = self.first(images)
        one, two = (first + self.second(first)).chunk(2, 1)
        return self.head((self.third(one) + self.norm(two)).mean((2, 3)))


class Tokens(nn.Module):
    """Rows as tokens: attention, a norm over the last axis, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(28, 16)
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.embed(images.squeeze(1))
        mixed, _ = self.attend(rows, rows, rows, need_weights=False)
        return self.head(nn.functional.gelu(self.norm(rows + mixed)).mean(1))


def of_own(build: Callable[[], nn.Module]) -> ModelSpec:
    return ModelSpec(build=lambda *_: build(), data="own")


NETWORKS = {
    "cnn": (MODELS.get("cnn"), None),
    "lenet5": (MODELS.get("lenet5"), None),
    "resnet20": (MODELS.get("resnet20"), 32),
    "mobile": (of_own(Mobile), None),
    "branches": (of_own(Branches), None),
    "resized": (of_own(Resized), None),
    "dense": (of_own(Dense), None),
    "parted": (of_own(Parted), None),
    "tokens": (of_own(Tokens), None),
}

STEPS = {
    "tokens": 8,
    "resized": 5,
    "dense": 5,
    "parted": 8,
    "mobile": 5,
    "branches": 5,
    "resnet20": 8,
}
"""By how many steps of the answer's range int8 may differ, if not by one and a half: where values
between layers are rounded that our file leaves as floats, or by another operator."""


def answers(file: Path, inputs: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": inputs.numpy()})[0]


@pytest.mark.parametrize("bits", [32, 16, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_answers_as_ours(name: str, bits: int, tmp_path: Path) -> None:
    spec, size = NETWORKS[name]
    data = FewDigits(DataOptions(input_size=size))
    data.setup()
    context = toy_context(data, model=spec)
    torch.manual_seed(0)
    state = context.untrained()
    if bits < 32:
        state = rounded(state, context, bits)
    ours, theirs = tmp_path / "a.onnx", tmp_path / "a.tflite"
    ours.write_bytes(export_onnx(state, context))
    runtime_named("litert").write(ours, theirs, data)
    inputs = data.training_inputs(64)
    expected = answers(ours, inputs)
    file = LiteRtNetwork(theirs, data, threads=1)
    given = np.concatenate([file.answer(file.feeds(each)) for each in inputs.split(1)])
    step = np.ptp(expected) / 255
    tolerated = STEPS.get(name, 1.5) * step if bits == 8 else 1e-5
    assert np.abs(given - expected).max() / tolerated <= 1
    if bits < 32 and name not in {"tokens", "resized"}:  # which are mostly operators
        assert theirs.stat().st_size < 1.1 * ours.stat().st_size + 4000
    measured = measure_any(theirs, data)
    assert measured.artifact_raw_bytes == theirs.stat().st_size
    assert measured.latency_ms > 0


@pytest.mark.parametrize("name", ["cnn", "tokens"])
def test_weights_of_16_bits_take_half_the_bytes(name: str, tmp_path: Path) -> None:
    spec, _ = NETWORKS[name]
    data = FewDigits(DataOptions())
    data.setup()
    context = toy_context(data, model=spec)
    torch.manual_seed(0)
    state = context.untrained()
    files = {}
    for bits in (32, 16):
        files[bits] = tmp_path / f"{bits}.tflite"
        ours = tmp_path / f"{bits}.onnx"
        stage = Quantization(bits=bits, qat_epochs=0, batch_size=32, lr=1e-3)
        ours.write_bytes(export_onnx(stage.apply(state, context), context))
        runtime_named("litert").write(ours, files[bits], data)
        file = LiteRtNetwork(files[bits], data, threads=1)
        inputs = data.training_inputs(16)
        given = np.concatenate([file.answer(file.feeds(each)) for each in inputs.split(1)])
        assert np.allclose(given, answers(ours, inputs), atol=1e-5)
    saved, expected = (
        (tmp_path / f"32.{kind}").stat().st_size - (tmp_path / f"16.{kind}").stat().st_size
        for kind in ("tflite", "onnx")
    )
    assert 0.9 * expected < saved <= expected  # a weight costs an operator, too
    if name == "cnn":
        assert files[16].stat().st_size < 0.52 * files[32].stat().st_size


def test_inputs_and_outputs_may_be_integers(tmp_path: Path, digits: FewDigits) -> None:
    context = toy_context(digits)
    torch.manual_seed(0)
    content = export_onnx(rounded(context.untrained(), context), context)
    feeds = [{"input": digits.training_inputs(256).numpy()}]
    (tmp_path / "f.tflite").write_bytes(write_tflite(content, feeds))
    (tmp_path / "i.tflite").write_bytes(write_tflite(content, feeds, integer_ends=True))
    floats, integers = (
        LiteRtNetwork(tmp_path / f"{name}.tflite", digits, threads=1) for name in "fi"
    )
    assert integers._interpreter.get_input_details()[0]["dtype"] is np.int8
    for each in digits.training_inputs(8).split(1):
        assert np.array_equal(
            floats.answer(floats.feeds(each)), integers.answer(integers.feeds(each))
        )


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(784, 16), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        hidden = self.body(images.flatten(1)).relu()
        return {"hidden": hidden, "logits": self.head(hidden)}


def test_outputs_keep_their_names(tmp_path: Path, digits: FewDigits) -> None:
    context = toy_context(digits, model=of_own(TwoOutputs))
    torch.manual_seed(0)
    content = export_onnx(rounded(context.untrained(), context), context)
    feeds = [{"input": digits.training_inputs(64).numpy()}]
    (tmp_path / "a.tflite").write_bytes(write_tflite(content, feeds))
    file = LiteRtNetwork(tmp_path / "a.tflite", digits, threads=1)
    given = file.all_outputs(file.feeds(digits.training_inputs(1)))
    assert {name: tuple(each.shape) for name, each in given.items()} == {
        "logits": (1, 10),
        "hidden": (1, 16),
    }
    assert file.answer_name == "logits"


class Sorted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1)).cumsum(1)


def test_what_cannot_be_written_is_one_line(digits: FewDigits) -> None:
    context = toy_context(digits, model=of_own(Sorted))
    content = export_onnx(context.untrained(), context)
    with pytest.raises(MeasurementError, match="files are written without CumSum yet"):
        write_tflite(content, [{"input": digits.training_inputs(2).numpy()}])


def test_what_is_no_such_file_is_one_line(tmp_path: Path, digits: FewDigits) -> None:
    (tmp_path / "a.tflite").write_bytes(b"nothing")
    with pytest.raises(MeasurementError, match="LiteRT cannot open it: "):
        measure_any(tmp_path / "a.tflite", digits)
