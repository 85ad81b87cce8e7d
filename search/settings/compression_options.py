"""Options of `python -m search.run` about compression and training; nothing here imports torch."""

import argparse

from objectives.container.coders import NAMES as CODERS
from objectives.stages import method_names
from search.settings.parsing import list_of


class _Appended(argparse.Action):
    """Appends to a tuple, as settings are known by their hash."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Append `values` to those given before."""
        before = getattr(namespace, self.dest) or ()
        setattr(namespace, self.dest, (*before, values))


def add_compression(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what may be done to networks and files."""
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
        "--range",
        dest="ranges",
        action=_Appended,
        metavar="NAME=LOW,HIGH",
        help="let a search of the space wide have this range, or NAME=VALUE, of a parameter, as "
        "the report calls it (uniform.rate=0.5,8); may be given several times",
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


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how networks are trained."""
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
        "--baseline-optimizer",
        choices=("adam", "sgd"),
        help="what trains the baseline: Adam, or SGD with Nesterov's momentum 0.9 and weight "
        "decay 0.0005 (default: adam, which fine-tunes in any case)",
    )
    training.add_argument(
        "--baseline-lr",
        type=float,
        metavar="RATE",
        help="learning rate of the baseline's optimizer (default: as --lr)",
    )
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
    training.add_argument(
        "--mixed-precision",
        choices=("auto", "bf16", "none"),
        help="bf16: layers compute in bfloat16 while they are trained, which is faster on "
        "processors with AMX (default: auto, on CUDA only)",
    )
