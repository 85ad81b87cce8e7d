"""A model card: what an exported file is, what it was measured to do, and how to run it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.loaders import LoaderData
from objectives.artifact.measure import FileMeasurement, Measurement
from objectives.score.onnx_network import OnnxNetwork
from search.results.recommendation import headline
from search.results.remake import remake_command
from search.results.row import Row
from search.results.scored import told as told_score
from search.results.table import StudyTable
from search.settings.provenance import machine, versions
from search.settings.setup import StudySetup

ONNX, CONTAINER, WEIGHTS = "model.onnx", "model.onc", "model.safetensors"
TFLITE_FILE, IR = "model.tflite", "model.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What a card tells."""

    table: StudyTable
    row: Row
    """The trial that made the file."""
    setup: StudySetup
    measured: Measurement
    """Of the file that the study measured, now and here."""
    others: Mapping[str, FileMeasurement] = field(default_factory=dict)
    """Of other forms of it that lie beside, by their names."""


def model_card(facts: CardFacts, files: Sequence[Path]) -> str:
    """Return the card in Markdown; `files` are those that lie beside it."""
    row, config = facts.row, facts.setup.config
    listed = [
        f"- `{file.name}`, {file.stat().st_size:,} bytes: {_WHAT[file.name]}"
        for file in files
        if file.name in _WHAT
    ]
    code = [file for file in files if file.parent.name == "c"]
    if code:
        listed.append(f"- `c/`, {len(code)} files: {_C}")
    listed.append("\n`sha256sum -c SHA256SUMS` checks them.")
    sections = {
        "What was measured": _measured(facts),
        "How to run it": _how_to_run(facts, files),
        "Files": "\n".join(listed),
        "How it was made": _how_made(facts),
    }
    head = (
        f"# {facts.table.name}, trial {row.trial.number}\n\n"
        f"Network `{config.model}` for data `{config.data}`, compressed: {row.done} "
        f"({row.label}). {headline(row)[0].upper()}{headline(row)[1:]}\n"
    )
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


_WHAT = {
    ONNX: "the network.",
    TFLITE_FILE: "the same for LiteRT and TensorFlow Lite Micro: one input a run, the channels of "
    "images last.",
    "network.tflite": "what `c/` was written from, for TensorFlow Lite Micro.",
    IR: "the same for OpenVINO, whose weights lie beside it.",
    "model.bin": f"the weights of `{IR}`.",
    CONTAINER: f"the same, coded; `python -m objectives.container decode {CONTAINER} {ONNX}` "
    "gives it back, bit for bit.",
    WEIGHTS: "the file's weights as float32, a state dict of the PyTorch network, with the layers "
    "that the plan left; where it removed and split none, "
    f"`search.run --weights {WEIGHTS}` takes it. Where the file computes with integers, it also "
    "rounds what is computed between layers, which these weights cannot tell.",
}


_C = (
    "the network as C11, without heap or interpreter; `bknn_network.h` is what to include, "
    "`bknn_network_memory.txt` tells flash and RAM, and "
    "`gcc -std=c11 -O2 -o check c/*.c && ./check` compares an answer with TensorFlow Lite Micro's."
)


def _measured(facts: CardFacts) -> str:
    measured, value = facts.measured, facts.row.attribute

    scored = facts.row.scored

    def score(part: str, now: float) -> str:
        told_now = told_score(now, is_share=scored.is_share)
        if not scored.is_share:
            return f"{told_now} | {scored.told_delta(part)} better than it"
        return f"{told_now} | {scored.value(part) - value(f'{part}_delta_pct'):.2f} %"

    lines = [
        "| | this file | uncompressed |",
        "|:--|--:|--:|",
        f"| {scored.name} on test | {score('test', measured.test_score)} |",
        f"| {scored.name} on validation | {score('val', measured.val_score)} |",
        f"| bytes | {measured.artifact_raw_bytes:,} | |",
        f"| bytes after gzip | {measured.artifact_bytes:,} | {value('baseline_bytes'):,} |",
    ]
    if measured.container_bytes is not None:
        lines.append(f"| bytes of the container | {measured.container_bytes:,} | |")
    lines += [
        f"| weights that are zero | {100 * measured.measured_sparsity:.1f} % | |",
        f"| latency | {measured.latency_ms:.3f} ms ± {measured.latency_iqr_ms:.3f} | |",
    ]
    if measured.ram_bytes is not None:
        lines.append(f"| RAM | {measured.ram_bytes / 1024:,.1f} kB of 1,024 bytes | |")
    for name, other in facts.others.items():
        rows = {
            f"{scored.name} on test": told_score(other.test_score, is_share=scored.is_share),
            "bytes": f"{other.artifact_raw_bytes:,}",
            "bytes after gzip": f"{other.artifact_bytes:,}",
            "latency": f"{other.latency_ms:.3f} ms ± {other.latency_iqr_ms:.3f}",
        }
        lines += [f"| {what} of {name} | {told} | |" for what, told in rows.items()]
    runtime = facts.setup.config.runs_on
    tested = facts.setup.data.sizes()["test"]
    told = (
        f"Measured on model{runtime.suffix} when it was exported, by {runtime.title} "
        f"{runtime.version} on {machine()}. Latency is the median of one input on one thread, and "
        f"its interquartile range. The test part, {tested:,} inputs, chose nothing."
    )
    return "\n".join([*lines, "", told])


ANSWERS = {
    "multiclass": ("a logit for each of {count} classes", "answers.argmax(axis=1)"),
    "binary": ("a logit of yes", "answers > 0"),
    "multilabel": ("a logit for each of {count} labels", "answers > 0"),
    "segmentation": (
        "a logit for each of {count} classes, of each pixel",
        "answers.argmax(axis=1)",
    ),
    "regression": ("what is asked, {count} numbers for an input", "answers"),
}
"""What a file gives, by task, and how it is read."""


def _how_to_run(facts: CardFacts, files: Sequence[Path]) -> str:
    data = facts.setup.data
    (path,) = [each for each in files if each.name == ONNX]
    file = OnnxNetwork(path, data, threads=1)
    examples = file.feeds(data.training_inputs(1))
    feeds = ", ".join(f'"{name}": inputs' for name in examples)
    if isinstance(data, LoaderData):
        takes = "as the data's loaders yield them"
        zeros = {
            name: f"np.zeros({each.shape}, np.{each.dtype})" for name, each in examples.items()
        }
        inputs = "\n".join(f"{name} = {made}  # yours" for name, made in zeros.items())
        feeds = ", ".join(f'"{name}": {name}' for name in examples)
    else:
        shape = ", ".join(str(side) for each in examples.values() for side in each.shape)
        takes = "float32 pixels / 255, (N, C, H, W); normalization is inside the file"
        inputs = (
            f"pixels = np.zeros(({shape}), np.uint8)  # yours\n"
            "inputs = pixels.astype(np.float32) / 255"
        )
    answer, shown = ANSWERS.get(data.task.name, ("what the network returns", "answers"))
    answer = answer.format(count=data.num_classes)
    code = [
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{ONNX}", providers=["CPUExecutionProvider"])',
        inputs,
        f'(answers,) = session.run(["{file.answer_name}"], {{{feeds}}})',
        f"print({shown})",
    ]
    return (
        f"Inputs are {takes}; any number of them. The answer is {answer}.\n\n```python\n"
        + "\n".join(code)
        + "\n```"
    )


def _how_made(facts: CardFacts) -> str:
    row, config = facts.row, facts.setup.config
    made_with = row.attribute("versions") or versions()
    command = remake_command(config, row.plan, f"{facts.table.name}-trial-{row.trial.number}")
    return (
        f"```sh\n{command}\n```\n\n"
        f"makes the file again. Its plan is in that command; seed {config.seed}, data "
        f"{config.data_fingerprint}, network {config.model_fingerprint}, "
        + ", ".join(f"{name} {version}" for name, version in made_with.items())
        + "."
    )
