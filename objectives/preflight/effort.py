"""What the steps of a trial take here and now, tried on the network before it is trained.

Training is tried for a few steps, and ended; files are written for the study's runtime, scored and
coded as those of trials are. Whatever cannot be done is no matter here: it counts nothing, and the
trial that meets it tells why.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from models.data_source import Part
from models.errors import BadInputError
from models.inputs import Given
from objectives.artifact.container_file import write_container
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_file
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState
from objectives.plan import Plan
from objectives.preflight.answers import TRIED_INPUTS
from objectives.progress import SilentProgress
from objectives.runtimes.base import Runtime
from objectives.stages.base import Stage
from objectives.stages.quantize import Quantization
from objectives.training.masks import magnitude_masks

FEWEST_STEPS, MOST_STEPS = 2, 12
QUICK_SECONDS = 5.0
TRIED_SECONDS = 1.0
"""Steps of a stage are tried for as long, or until there are so many; scoring a part as well."""


@dataclass(slots=True)
class Effort:
    """Seconds that were measured; 0 of what could not be tried."""

    seconds: float = 0.0
    """Of what is done once a trial."""
    per_epoch: float = 0.0
    """Of an epoch of training."""


def effort_of_stage(settings: Stage, context: Context) -> Effort:
    """Return what a stage takes, from its first steps; its epochs are not counted in.

    One that trains nothing is tried twice where that is quick, as the first time imports.
    """
    effort = _tried(settings, context)
    again = effort.per_epoch == 0 and effort.seconds < QUICK_SECONDS
    return _tried(settings, context) if again else effort


def _tried(settings: Stage, context: Context) -> Effort:
    watch = _FirstSteps()
    started = time.perf_counter()
    with suppress(TrialError, BadInputError, _Tried):
        settings.apply(context.untrained(), replace(context, progress=watch, after_epoch=None))
    ended = time.perf_counter()
    if not watch.moments:  # it trains nothing
        return Effort(seconds=ended - started)
    trained = watch.epochs - watch.first_epochs
    per_epoch = (watch.moments[-1] - watch.moments[0]) / trained if trained else 0.0
    beginning = watch.moments[0] - started - per_epoch * watch.first_epochs
    return Effort(seconds=max(0.0, beginning), per_epoch=per_epoch)


class _Tried(Exception):  # noqa: N818 - it is no error
    """Enough steps were taken."""


class _FirstSteps(SilentProgress):
    """Ends a training after its first steps, and knows when each of them ended."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.epochs = 0.0
        self.first_epochs = 0.0

    def advance(self, epochs: float) -> None:
        self.moments.append(time.perf_counter())
        self.epochs += epochs
        self.first_epochs = self.first_epochs or epochs
        taken = self.moments[-1] - self.moments[0]
        if len(self.moments) >= MOST_STEPS or (
            len(self.moments) >= FEWEST_STEPS and taken > TRIED_SECONDS
        ):
            raise _Tried


def like_its_file(plan: Plan, context: Context) -> NetworkState:
    """Return the untrained network with about the zeros and bits that `plan` gives it.

    Coders take as long for it as for the plan's own file; nothing is trained for that.
    """
    state = context.untrained()
    masking, stored = plan.of_the_paper("masking"), plan.of_the_paper("representation")
    if not masking.is_neutral:
        layers = context.layers_of(context.network_of(state))
        masks = magnitude_masks(
            {name: layer.weight.detach() for name, layer in layers.items()},
            masking.sparsity,
            masking.allocation,
        )
        kept = {
            f"{name}.weight": mask
            for name, mask in masks.items()
            if f"{name}.weight" in state.weights
        }
        weights = {
            name: weight * kept[name] if name in kept else weight
            for name, weight in state.weights.items()
        }
        state = replace(state, weights=weights, masks=masks)
    others = [stage for stage in plan.stages() if stage.kind == "representation"]
    if others and stored.is_neutral:  # fewer bits by a method beyond the paper's
        stored = replace(stored, bits=8)
    if not stored.is_neutral:
        rounded: Quantization = replace(stored, qat_epochs=0, calibration_images=TRIED_INPUTS)
        state = rounded.apply(state, context)
    return state


def effort_of_file(
    state: NetworkState,
    context: Context,
    runtime: Runtime,
    coders: Sequence[str] = (),
    *,
    with_ram: bool = False,
) -> Effort:
    """Return what it takes to write the file of a state, check, score, time and code it."""
    data: Any = _Beginning(context.data)
    spent = 0.0
    with tempfile.TemporaryDirectory() as folder, suppress(TrialError, BadInputError):
        file = Path(folder) / "tried.onnx"
        shipped = file.with_suffix(runtime.suffix)
        started = time.perf_counter()
        file.write_bytes(export_onnx(state, context))
        runtime.write(file, shipped, context.data)
        with suppress(TrialError):  # of random weights int8 answers may be nothing but rounding
            runtime.check(file, shipped, context.data)
        with suppress(TrialError):  # as of few targets, which are all of one class
            measure_file(shipped, data, context.score, runtime, with_ram=with_ram)
        if runtime.suffix == file.suffix:
            write_container(file, coders)
        spent = time.perf_counter() - started
    return Effort(seconds=spent + data.left_out_seconds)


@dataclass(slots=True)
class _Beginning:
    """Data whose parts end after some time; it knows how much longer the whole would take."""

    data: Any
    left_out_seconds: float = field(default=0.0)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the data have
        return getattr(self.data, name)

    def batches(self, part: Part) -> Iterator[tuple[Given, Tensor]]:
        yield from self._beginning(self.data.batches(part), part)

    def step_batches(self, part: Part) -> Iterator[Any]:
        yield from self._beginning(self.data.step_batches(part), part)

    def _beginning(self, batches: Iterator[Any], part: Part) -> Iterator[Any]:
        started, asked, whole = time.perf_counter(), 0, self.data.sizes()[part]
        for batch in batches:
            yield batch
            asked += _length(batch)
            taken = time.perf_counter() - started
            if taken > TRIED_SECONDS and 0 < asked < whole:
                self.left_out_seconds += taken * (whole - asked) / asked
                return


def _length(batch: Any) -> int:  # noqa: ANN401 - as the data yield it
    last = batch[-1] if isinstance(batch, tuple | list) and batch else batch
    return len(last) if hasattr(last, "__len__") else 0
