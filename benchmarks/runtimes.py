"""Our files in each runtime: `python -m benchmarks.runtimes [NAME ...]`.

Networks with random weights, as in `benchmarks.integers`, in floats and at 8 bits on integers
everywhere. Each file answers one input at a time on one thread, all runtimes in turn; printed are
medians of milliseconds, bytes of the file as it is and after gzip, memory (of TensorFlow Lite
Micro its arena, of the others what a process of its own grows by), and the share of inputs that
the file puts in the class that PyTorch's network, fake-quantized, puts them in.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.integers import NETWORKS, ROUNDS, SECONDS_OF_A_ROUND, prepared
from models.data_source import DataSource
from models.inputs import tensors_of
from objectives.artifact.export import export_onnx
from objectives.artifact.sizes import gzip_bytes
from objectives.errors import MeasurementError
from objectives.runtimes import NAMES, runtime_named
from objectives.score.file_network import FileNetwork
from objectives.stages.quantize import Quantization
from objectives.training.activations import attach_activations_

COMPARED = 100
"""Inputs."""
HEADERS = ["network", "", "runtime", "ms", "bytes", "gzip", "RAM kB", "same %"]


def rows(name: str) -> list[list[str]]:
    """Return what is measured of one network: in floats, and at 8 bits."""
    context, state = prepared(name)
    stage = Quantization(
        bits=8,
        qat_epochs=0,
        batch_size=64,
        lr=1e-3,
        calibration_images=128,
        integers="everywhere",
    )
    (inputs,) = tensors_of(context.data.training_inputs(COMPARED))
    found = []
    for kind, each in (("float32", context.fold(state)), ("int8", stage.apply(state, context))):
        network = context.network_of(each)
        attach_activations_(network, context.values(each), each.activations)
        with torch.no_grad():
            expected = torch.cat([network(part) for part in inputs.split(50)]).argmax(1)
        with tempfile.TemporaryDirectory() as folder:
            content = export_onnx(each, context)
            opened: dict[str, FileNetwork] = {}
            for runtime in NAMES:
                ours = Path(folder) / f"{runtime}.onnx"
                ours.write_bytes(content)
                shipped = ours.with_suffix(runtime_named(runtime).suffix)
                try:
                    runtime_named(runtime).write(ours, shipped, context.data)
                    opened[runtime] = runtime_named(runtime).open(shipped, context.data, threads=1)
                except MeasurementError as err:
                    found.append([name, kind, runtime, str(err)])
            taken = milliseconds_in_turn(opened, context.data)
            for runtime, file in opened.items():
                answers = [int(file.answer(file.feeds(one)).argmax()) for one in inputs.split(1)]
                same = (torch.tensor(answers) == expected).double().mean()
                held = file.path.read_bytes()
                memory = runtime_named(runtime).ram_bytes(file.path, context.data)
                found.append(
                    [
                        name,
                        kind,
                        runtime_named(runtime).title,
                        f"{taken[runtime]:.3f}",
                        f"{len(held):,}",
                        f"{gzip_bytes(held):,}",
                        "-" if memory is None else f"{memory / 1024:,.0f}",
                        f"{100 * float(same):.0f}",
                    ]
                )
    return found


def milliseconds_in_turn(files: Mapping[str, FileNetwork], data: DataSource) -> dict[str, float]:
    """Return the median milliseconds of each file for one input, timed in turn."""
    feeds = {name: file.feeds(data.training_inputs(1)) for name, file in files.items()}
    taken: dict[str, list[float]] = {name: [] for name in files}
    for number in range(ROUNDS + 1):
        for name, file in files.items():
            began, runs = time.perf_counter(), 0
            while time.perf_counter() - began < SECONDS_OF_A_ROUND:
                file.answer(feeds[name])
                runs += 1
            if number > 0:  # the first one prepares
                taken[name].append(1000 * (time.perf_counter() - began) / runs)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    networks = parser.parse_args().networks
    found = [row for name in networks for row in rows(name)]
    print(tabulate(found, HEADERS, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
