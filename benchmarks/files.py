"""What a trial costs after its training: `python -m benchmarks.files [MODEL ...]`.

A network pruned to 90 % with 8 bits is quantized after training, exported, compressed to count its
bytes, and measured as a trial does it, step by step. What export takes to compare the file with
its network is timed again, alone. Pixels are random, and there are few of them: running the file
on 1,000 images is timed apart.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from benchmarks.training import CASES, prepared, seconds
from models.inputs import INPUT_NAME, tensors_of
from objectives.artifact.agreement import check_answers
from objectives.artifact.export import export_onnx
from objectives.artifact.measure import measure_file
from objectives.artifact.sizes import gzip_bytes
from objectives.network.state import NetworkState, copy_weights
from objectives.score.accuracy import ACCURACY
from objectives.score.onnx_network import OnnxNetwork
from objectives.stages.quantize import Quantization
from objectives.training.masks import magnitude_mask

MODELS = ("cnn", "alexnet")
BITS = (32, 8)
THREADS = 2
TOGETHER = ("quantize", "export", "measure, with gzip")


def steps(model: str, bits: int, folder: Path) -> dict[str, Callable[[], object]]:
    """Return what a trial does after training, in order; each needs the one before."""
    context, spec = prepared(CASES[model]._replace(images=1024))
    network = context.build_network()
    weights = copy_weights(network)
    masks = {}
    for name in context.layers_of(network):
        weight = weights[f"{name}.weight"]
        masks[name] = magnitude_mask(weight, 0.9)
        weights[f"{name}.weight"] = weight * masks[name]
    states = [NetworkState(weights=weights, masks=masks)]
    stage = Quantization(bits=bits, qat_epochs=0, batch_size=spec.batch_size, lr=spec.lr)
    path, (images,) = folder / "artifact.onnx", tensors_of(context.data.training_inputs(1000))

    def quantize() -> None:
        states.append(stage.apply(states[0], context))

    return {
        "quantize": quantize,
        "export": lambda: path.write_bytes(export_onnx(states[-1], context)),
        "compared, in it": lambda: check_answers(path.read_bytes(), states[-1], context),
        "gzip": lambda: gzip_bytes(path.read_bytes()),
        "measure, with gzip": lambda: measure_file(path, context.data, ACCURACY),
        "1,000 images": lambda: OnnxNetwork(path, context.data, threads=THREADS).answer(
            {INPUT_NAME: images.numpy()}
        ),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for model in options.models:
        for bits in BITS:
            with tempfile.TemporaryDirectory() as folder:
                taken: dict[str, list[float]] = {}
                for _ in range(options.repeats):
                    for step, work in steps(model, bits, Path(folder)).items():
                        taken.setdefault(step, []).append(seconds(work))
            row: dict[str, str | float] = {"seconds": f"{model}, {bits} bits"}
            row |= {step: statistics.median(times) for step, times in taken.items()}
            row["together"] = sum(float(row[step]) for step in TOGETHER)
            rows.append(row)
    print(tabulate(rows, "keys", "pipe", floatfmt=".2f"))


if __name__ == "__main__":
    main()
