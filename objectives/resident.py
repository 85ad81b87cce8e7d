"""How much memory a file takes to run, measured in a process of its own.

`python -m objectives.resident RUNTIME FILE INPUTS.npz` prints by how many bytes the resident
memory of the process grows, at its peak, while the file is opened and answers three times. It
imports nothing but NumPy and the runtime, before it begins to count.

Source: Linux, proc(5): VmRSS, VmHWM, and /proc/self/clear_refs, which sets one to the other.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from objectives.errors import MeasurementError

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RUNS = 3

Feeds = Mapping[str, np.ndarray]


def resident_bytes(runtime: str, file: Path, feeds: Feeds) -> int | None:
    """Return the bytes; None where the system does not tell, or nobody said how to open it.

    Args:
        runtime: Its name; `OPENERS` says how it opens a file.
        file: What it runs.
        feeds: One input, by the names of the file's.

    Raises:
        MeasurementError: It cannot run.
    """
    if not RESET.exists() or runtime not in OPENERS:
        return None
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        np.savez(inputs, allow_pickle=False, **dict(feeds))
        command = [sys.executable, "-m", "objectives.resident", runtime, str(file), str(inputs)]
        root = Path(__file__).resolve().parent.parent
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise MeasurementError(f"Its memory cannot be measured: {last}")
    return int(done.stdout.split()[-1])


def _onnxruntime(file: str, feeds: Feeds) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, dict(feeds))


def _openvino(file: str, feeds: Feeds) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape({name: list(values.shape) for name, values in feeds.items()})
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1})
    return lambda: compiled(dict(feeds))


def _litert(file: str, feeds: Feeds) -> Callable[[], object]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=1)
    interpreter.allocate_tensors()
    for told, values in zip(interpreter.get_input_details(), feeds.values(), strict=True):
        given = values.reshape(told["shape"]).astype(told["dtype"])  # what they are is no matter
        interpreter.set_tensor(told["index"], given)
    return interpreter.invoke  # type: ignore[no-any-return]


OPENERS: dict[str, tuple[str, Callable[[str, Feeds], Callable[[], object]]]] = {
    "onnxruntime": ("onnxruntime", _onnxruntime),
    "openvino": ("openvino", _openvino),
    "litert": ("ai_edge_litert.interpreter", _litert),
}
"""What each runtime is imported as, and what opens a file and returns what runs it."""


def _kib(name: str) -> int:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def main(runtime: str, file: str, inputs: str) -> int:
    """Return by how many bytes the process grows."""
    module, opener = OPENERS[runtime]
    __import__(module)
    with np.load(inputs) as held:
        feeds = dict(held)
    before = _kib("VmRSS")
    RESET.write_text("5")
    run = opener(file, feeds)
    for _ in range(RUNS):
        run()
    return 1024 * (_kib("VmHWM") - before)


if __name__ == "__main__":
    sys.stdout.write(f"{main(*sys.argv[1:])}\n")
