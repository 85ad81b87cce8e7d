"""The options of `python -m search.run`; nothing here imports torch, so that --help is quick."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from objectives.container.coders import NAMES as CODERS
from objectives.stages import method_names
from search.sampling.samplers import AUTO, CHOICES
from search.settings.parsing import (
    OneLineParser,
    add_data_root,
    add_score,
    add_study_location,
    list_of,
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
        help="cnn, alexnet, lenet300, lenet5; torchvision:NAME; or package.module:factory or "
        "path/file.py:factory of your own",
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
    _add_data(parser)
    add_score(parser.add_argument_group("task and score"))
    _add_study(parser)
    _add_search(parser)
    _add_compression(parser)
    _add_training(parser)
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
        "--test-fraction", type=float, metavar="F", help="use this share of the test part"
    )
    data.add_argument(
        "--augment",
        choices=("none", "shift", "crop-flip"),
        help="random changes of training images: moved by up to 1/28 of their side, or by up to "
        "1/8 and mirrored (default: the data's)",
    )


def _add_study(parser: argparse.ArgumentParser) -> None:
    study = parser.add_argument_group("study")
    study.add_argument("--study", metavar="NAME", help="default: <model>-<data>-<space>")
    add_study_location(study)
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
        help="what pareto minimizes, too: latency; energy, which is an estimate",
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
        "--trials",
        type=positive_int,
        metavar="N",
        help="with a sampler, trials that the study shall have (default: 100); for the grid, "
        "trials to run now at most",
    )
    search.add_argument(
        "--timeout",
        type=positive_float,
        metavar="SECONDS",
        help="begin no further trial after this time",
    )


def _add_compression(parser: argparse.ArgumentParser) -> None:
    grid = parser.add_argument_group("compression")
    grid.add_argument(
        "--methods",
        type=lambda text: tuple(text.split(",")),
        metavar="M,M,...",
        help=f"what a search of the space wide may use: {', '.join(method_names())}; distill; "
        f"and how the file is coded: {', '.join(CODERS)} (default: prune,quantize)",
    )
    grid.add_argument(
        "--sparsity",
        type=list_of(float),
        metavar="S,S,...",
        help="shares of weights to zero, each in [0, 1) (default: 0,0.5,0.75,0.9,0.95,0.99)",
    )
    grid.add_argument(
        "--density",
        type=list_of(float),
        metavar="LOW,HIGH",
        help="shares of weights that a search of the space wide may keep (default: 0.002,1)",
    )
    grid.add_argument(
        "--precision",
        type=list_of(int),
        metavar="B,B,...",
        help="bits of a stored weight (default: 32,16,8)",
    )
    grid.add_argument(
        "--allocation",
        choices=("uniform", "global", "lamp"),
        help="prune each layer to the sparsity, all layers together by magnitude, or by LAMP's "
        "score (default: uniform; a search of the space wide tries all)",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training; defaults lie with the model")
    training.add_argument(
        "--epochs", type=int, metavar="N", help="of the baseline and of each fine-tuning"
    )
    training.add_argument(
        "--fine-tune-epochs",
        type=int,
        metavar="N",
        help="of each fine-tuning while pruning, at most (default: as --epochs)",
    )
    training.add_argument(
        "--qat-epochs",
        type=int,
        metavar="N",
        help="of fine-tuning while quantized; 0 is post-training quantization",
    )
    training.add_argument("--batch-size", type=int, metavar="N", help="images in a step")
    training.add_argument("--lr", type=float, metavar="RATE", help="Adam's learning rate")
    training.add_argument(
        "--lr-decay",
        choices=("none", "cosine"),
        help="learning rate within each stage: constant, or falling to 0 (default: none)",
    )
    training.add_argument(
        "--distill-weight",
        type=float,
        metavar="W",
        help="share of the loss of fine-tuning that asks for the baseline's answers (default: 0)",
    )
    training.add_argument(
        "--distill-temperature",
        type=float,
        metavar="T",
        help="what logits are divided by for that (default: 4)",
    )
    training.add_argument(
        "--seed", type=int, metavar="N", help="of weights and batches (default: 0)"
    )
    training.add_argument(
        "--accelerator",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="device that trains (default: auto)",
    )
