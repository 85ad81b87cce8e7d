"""Whether a new network's files answer as it does, and can be scored."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from models.data_source import PARTS, DataSource, Part
from models.errors import BadInputError, blaming
from models.inputs import Given
from objectives.artifact.export import export_onnx
from objectives.context import Context
from objectives.errors import TrialError, UndefinedScoreError
from objectives.preflight.answers import TRIED_INPUTS
from objectives.progress import SilentProgress
from objectives.runtimes.base import Runtime
from objectives.score.accuracy import ACCURACY
from objectives.score.onnx_network import OnnxNetwork
from objectives.stages.quantize import Quantization

SCORED_BATCHES = 4

_AT_8_BITS = Quantization(
    bits=8, qat_epochs=0, batch_size=TRIED_INPUTS, lr=1e-3, calibration_images=TRIED_INPUTS
)


def check_files(context: Context) -> None:
    """Raise `BadInputError` unless files of the new network answer as it does."""
    try:
        export_onnx(context.untrained(), context)
        export_onnx(_AT_8_BITS.apply(context.untrained(), context), context)
        with blaming("A training step of the quantized network"), suppress(_StepTaken):
            replace(_AT_8_BITS, qat_epochs=1).apply(
                context.untrained(), replace(context, progress=_OneStep())
            )
    except TrialError as err:
        raise BadInputError(str(err)) from err


def check_runtime(context: Context, runtime: Runtime) -> None:
    """Raise `BadInputError` unless the runtime takes the new network's file, also at 8 bits."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "untrained.onnx"
        shipped = file.with_suffix(runtime.suffix)
        for stage in (None, replace(_AT_8_BITS, integers="everywhere")):
            state = context.untrained()
            try:
                state = state if stage is None else stage.apply(state, context)
                file.write_bytes(export_onnx(state, context))
                runtime.write(file, shipped, context.data)
                if stage is None:  # of random weights int8 answers may be nothing but rounding
                    runtime.check(file, shipped, context.data)
                opened = runtime.open(shipped, context.data, threads=1)
                opened.answer(opened.feeds(context.data.training_inputs(1)))
            except TrialError as err:
                raise BadInputError(f"`--runtime {runtime.name}`: {err}") from err


def check_score(context: Context) -> None:
    """Raise `BadInputError` unless the new network's file can be scored, on a few batches."""
    if context.score == ACCURACY:
        return
    beginning: Any = _Beginning(context.data)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "untrained.onnx"
        try:
            file.write_bytes(export_onnx(context.untrained(), context))
            opened = OnnxNetwork(file, context.data, threads=1)
            for part in PARTS:
                context.score.of_file(opened, beginning, part)
        except UndefinedScoreError:  # as of few targets, which are all of one class
            pass
        except TrialError as err:
            raise BadInputError(str(err)) from err


class _Beginning:
    """Data of which the parts have few batches."""

    def __init__(self, data: DataSource) -> None:
        self._data = data

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the data have
        return getattr(self._data, name)

    def batches(self, part: Part) -> Iterator[tuple[Given, Tensor]]:
        return islice(self._data.batches(part), SCORED_BATCHES)

    def step_batches(self, part: Part) -> Iterator[Any]:
        return islice(self._data.step_batches(part), SCORED_BATCHES)


class _StepTaken(Exception):  # noqa: N818 - it is no error
    """A training has taken its first step."""


class _OneStep(SilentProgress):
    """Ends a training after its first step."""

    def advance(self, epochs: float) -> None:
        raise _StepTaken
