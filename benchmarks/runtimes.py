"""Our file and the same for LiteRT: `python -m benchmarks.runtimes [NAME ...]`.

Networks with random weights, as in `benchmarks.integers`, in floats and at 8 bits on integers
everywhere. Each file answers one digit at a time on one thread, all in turn; printed are medians
of milliseconds, bytes after gzip, and the share of digits that the LiteRT file puts in the class
that PyTorch's network, fake-quantized, puts them in.
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
from objectives.artifact.opened import open_network, write_tflite_file
from objectives.artifact.sizes import gzip_bytes
from objectives.score.file_network import FileNetwork
from objectives.stages.quantize import Quantization
from objectives.training.activations import attach_activations_

COMPARED = 200
"""Digits."""
SHOWN = [name for name in NETWORKS if name != "alexnet"]
"""Whose operators all are written."""


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
            ours, theirs = (Path(folder) / f"file.{ending}" for ending in ("onnx", "tflite"))
            ours.write_bytes(export_onnx(each, context))
            write_tflite_file(ours, theirs, context.data)
            opened = {
                file.suffix: open_network(file, context.data, threads=1) for file in (ours, theirs)
            }
            taken = milliseconds_in_turn(opened, context.data)
            lite = opened[".tflite"]
            answers = [int(lite.answer(lite.feeds(one)).argmax()) for one in inputs.split(1)]
            sizes = [gzip_bytes(file.read_bytes()) for file in (ours, theirs)]
        same = (torch.tensor(answers) == expected).double().mean()
        found.append(
            [
                name,
                kind,
                *(f"{ms:.3f}" for ms in taken.values()),
                f"{taken['.tflite'] / taken['.onnx']:.2f}",
                *(f"{size:,}" for size in sizes),
                f"{100 * float(same):.1f}",
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
    parser.add_argument("networks", nargs="*", default=SHOWN, metavar="NETWORK")
    networks = parser.parse_args().networks
    headers = ["network", "", "ONNX Runtime ms", "LiteRT ms", "LiteRT / ONNX Runtime"]
    headers += ["ONNX gzip", "LiteRT gzip", "same %"]
    found = [row for name in networks for row in rows(name)]
    print(tabulate(found, headers, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
