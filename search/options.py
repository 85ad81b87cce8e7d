"""The options of `python -m search.run`; nothing here imports torch, so that --help is quick."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from objectives.runtimes import NAMES as RUNTIMES
from search.sampling.samplers import AUTO, CHOICES
from search.settings.compression_options import add_compression, add_training
from search.settings.parsing import (
    OneLineParser,
    add_data_root,
    add_score,
    add_study_location,
    positive_float,
    positive_int,
)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed options of `search.run`; exits with code 2 on what cannot be parsed.

    An option that was not given and whose default lies with the model or the config is None.
    """
    parser = OneLineParser(
        prog="python -m search.run",
        description="Search for the smallest file of a network that still answers well. "
        "The same command again resumes the study; a finished study prints its table.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        required=True,
        metavar="NAME",
        help="cnn, alexnet, lenet300, lenet5, resnet8, resnet20; torchvision:NAME; or "
        "package.module:factory or path/file.py:factory of your own",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="trained weights (.ckpt, state dict, .safetensors) instead of training a baseline",
    )
    parser.add_argument(
        "--layers",
        type=lambda text: tuple(text.split(",")),
        metavar="P,P,...",
        help="compress only layers whose names match, e.g. 'features.*' (default: *)",
    )
    parser.add_argument(
        "--preset",
        choices=("quick",),
        help="shorter settings for a CPU, labelled in tables; what else is given wins",
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="threads that train (default: the study's; of a new one 1 for networks of less than "
        "a million weights, for which more buy nothing, else one per core, shared among workers)",
    )
    _add_workers(parser)
    _add_output(parser)
    _add_data(parser)
    add_score(parser.add_argument_group("task and score"))
    _add_study(parser)
    _add_search(parser)
    add_compression(parser)
    add_training(parser)
    return parser.parse_args(argv)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    workers = parser.add_argument_group("who works")
    workers.add_argument(
        "--workers",
        type=positive_int,
        metavar="N",
        help="processes that run trials side by side (default: as many as the cores keep busy, "
        "one per GPU on CUDA; on a cluster all that it has); 1 is this process alone",
    )
    workers.add_argument(
        "--trials-per-gpu",
        type=positive_int,
        metavar="N",
        help="processes that share a GPU (default: 1)",
    )
    workers.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of this Dask cluster run the trials; they must see the same files",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("output").add_mutually_exclusive_group()
    output.add_argument(
        "--quiet",
        dest="form",
        action="store_const",
        const="quiet",
        default="text",
        help="say nothing but the result: what to take and where the report is, or why not",
    )
    output.add_argument(
        "--json",
        dest="form",
        action="store_const",
        const="json",
        help="for scripts: JSON lines on stdout, an object for each trial as it ends and a last "
        "one for the result; all else goes to stderr",
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="NAME",
        help="mnist, cifar10; mnist5k, which needs no network; folder:PATH of images in "
        "train/<class>/ and test/<class>/, also in a .tar, .tar.xz or .zip; or "
        "package.module:factory of a LightningDataModule (default: the model's)",
    )
    add_data_root(data)
    data.add_argument(
        "--input-size",
        type=int,
        metavar="PIXELS",
        help="height and width that images are resized to (default: the model's, or as they are)",
    )
    data.add_argument(
        "--train-fraction", type=float, metavar="F", help="use this share of the training part"
    )
    data.add_argument(
        "--held-out",
        type=float,
        metavar="F",
        help="hold this share of that out for validation (default: 0.3, the paper's)",
    )
    data.add_argument(
        "--test-fraction", type=float, metavar="F", help="use this share of the test part"
    )
    data.add_argument(
        "--augment",
        choices=("none", "shift", "crop-flip"),
        help="random changes of training images: moved by up to 1/28 of their side, or by up to "
        "1/8 and mirrored (default: the data's)",
    )
    data.add_argument(
        "--data-memory-gb",
        type=float,
        metavar="GB",
        help="what a folder's images may take in memory; of more than that, and than 1, batches "
        "are read from disk (default: a quarter of the machine's)",
    )


def _add_study(parser: argparse.ArgumentParser) -> None:
    study = parser.add_argument_group("study")
    study.add_argument("--study", metavar="NAME", help="default: <model>-<data>-<space>")
    add_study_location(study)
    study.add_argument(
        "--artifacts",
        metavar="URL",
        help="let each trial's files go to this store, too, where several machines have no folder "
        "in common: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or file:///FOLDER; the study keeps it",
    )
    study.add_argument(
        "--heartbeat",
        type=positive_int,
        default=5,
        metavar="SECONDS",
        help="interval of a running trial's sign of life; one that misses six is run again "
        "(default: 5)",
    )
    study.add_argument(
        "--cache-gb",
        type=positive_float,
        default=20.0,
        metavar="GB",
        help="size of the stage cache; what is quickest to compute is dropped first (default: 20)",
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="what files are written for, and what scores, times and measures them (default: "
        "onnxruntime); latency is that of this machine's CPU in all of them",
    )
    search.add_argument(
        "--space",
        choices=("paper", "wide", "layerwise"),
        help="paper: sparsity and precision; wide: density, allocation, epochs and learning rate "
        "of fine-tuning, bits down to 2, symmetric or not, per channel or not; layerwise: density "
        "and bits of each layer, of groups of them in a deep network (default: paper)",
    )
    search.add_argument(
        "--plan",
        dest="only_plan",
        metavar="JSON",
        help="no search: carry this plan out, as a report's commands do",
    )
    search.add_argument(
        "--sampler",
        choices=CHOICES,
        default=AUTO,
        help="who chooses trials (default: auto, which is grid for the space paper, nsgaii for "
        "pareto with more than 500 trials, else tpe)",
    )
    search.add_argument(
        "--stopping-rule",
        choices=("none", "median", "hyperband"),
        default="none",
        help="stop a trial that cannot win, by validation accuracy after each epoch of "
        "fine-tuning; not for pareto (default: none)",
    )
    search.add_argument(
        "--warm-start",
        action="store_true",
        help="prune from the nearest pruned network at hand, in a third of the epochs",
    )
    search.add_argument(
        "--confirm",
        type=positive_int,
        metavar="N",
        help="in the end train the chosen plan anew with N other seeds; report mean and spread",
    )
    search.add_argument(
        "--objective",
        choices=("quality", "saving", "pareto"),
        help="value of a trial, on validation: the paper's Eq. 5, the retained saving U, or both "
        "accuracy and bytes (default: quality)",
    )
    search.add_argument(
        "--with",
        dest="extra_objectives",
        type=lambda text: tuple(text.split(",")),
        metavar="O,O",
        help="what pareto minimizes, too: latency; ram; energy, which is an estimate",
    )
    search.add_argument(
        "--max-drop",
        type=float,
        metavar="PP",
        help="keep the validation score: lose points of a share, as of accuracy, else percent, "
        "at most",
    )
    search.add_argument(
        "--max-bytes", type=int, metavar="N", help="keep the file small, after gzip"
    )
    search.add_argument(
        "--max-latency-ms", type=float, metavar="MS", help="keep one input fast, on one thread"
    )
    search.add_argument(
        "--max-ram-kb",
        type=float,
        metavar="KB",
        help="keep the memory small that one input takes, in 1,024 bytes",
    )
    search.add_argument(
        "--max-flash-kb",
        type=float,
        metavar="KB",
        help="keep the file small as it lies in flash, in 1,024 bytes, without the runtime's code",
    )
    search.add_argument(
        "--trials",
        type=positive_int,
        metavar="N",
        help="with a sampler, trials that the study shall have (default: 100); for the grid, "
        "trials to run now at most",
    )
    search.add_argument(
        "--retry-failed",
        action="store_true",
        help="first queue what failed again, with the same parameters",
    )
    search.add_argument(
        "--timeout",
        type=positive_float,
        metavar="SECONDS",
        help="begin no further trial after this time",
    )
