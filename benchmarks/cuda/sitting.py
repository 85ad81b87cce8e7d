"""One sitting at a device: what it is, until when it lasts, and where rows of results go."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """What each part is given."""

    out: Path
    """Folder whose files are taken along in the end."""
    work: Path
    """Folder that is left behind."""
    resume: Path | None = None
    """The `out` of the sitting before."""
    data: str
    """CIFAR-10, as `--data` takes it."""
    epochs: int | None = None
    """Of AlexNet's grid; None lets its first steps decide."""
    ends: float
    """`time.monotonic()` at which parts must have ended."""
    smoke: bool = False
    """Whether everything is as small as it gets, on whichever device."""
    travel_bytes: int = 30_000_000
    """That the grid's weights may take in `out`."""
    device: torch.device = field(default_factory=lambda: torch.device("cuda"))

    @property
    def seconds_left(self) -> float:
        """Until the sitting ends."""
        return self.ends - time.monotonic()

    @property
    def on_gpu(self) -> bool:
        """Whether the device is one."""
        return self.device.type == "cuda"

    @property
    def accelerator(self) -> str:
        """Lightning's name of the device."""
        return "cuda" if self.on_gpu else "cpu"

    def row(self, part: str, **facts: object) -> None:
        """Write a row, onto the disk, and print it."""
        line = json.dumps({"part": part, **facts})
        with (self.out / "rows.jsonl").open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(line, flush=True)

    def seconds(self, work: Callable[[], object]) -> float:
        """Return the wall seconds of `work`, until the device has done it."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def matrix_tflops(self) -> float:
        """Return the rate of a large product of two bfloat16 matrices, 10^12 operations/s."""
        side = 256 if self.smoke else 8192
        a, b = (
            torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2)
        )
        repeats = 10

        def multiply() -> None:
            for _ in range(repeats):
                torch.mm(a, b)

        self.seconds(multiply)
        return 2 * side**3 * repeats / self.seconds(multiply) / 1e12

    def peak_mb(self) -> float | None:
        """Return the most memory that torch held on the GPU since the last call, MB."""
        if not self.on_gpu:
            return None
        peak = torch.cuda.max_memory_allocated() / 1e6
        torch.cuda.reset_peak_memory_stats()
        return round(peak, 1)
