"""What needs a GPU, the most telling first: `python -m benchmarks.cuda OUT`.

Parts, each of which can be named alone:

    steps      AlexNet's training step at 227: images/s by batch, share of the matrix rate, profile
    grid       the paper's grid of AlexNet on CIFAR-10; `--resume` goes on where a sitting ended
    sharing    small networks: alone, several at once, compiled, captured, stacked
    resnet20   ResNet-20 on CIFAR-10; its weights are kept
    tests      the tests marked `gpu`

Rows are in OUT/rows.jsonl as soon as they are known. OUT has all that another machine needs to go
on; `--work` is a folder for all else. `--smoke` does all of it small, on the CPU if need be.
"""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PARTS = ("steps", "grid", "sharing", "resnet20", "tests")


def main(argv: Sequence[str] | None = None) -> int:
    """Do the parts that are asked for; return 1 if one of them failed, 2 without a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder for what is taken along")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--minutes", type=float, default=9, help="that this call takes at most")
    parser.add_argument("--epochs", type=int, choices=(12, 4), help="of the grid's trainings")
    parser.add_argument("--data", default="cifar10", help="CIFAR-10, also as folder:PATH")
    parser.add_argument("--resume", type=Path, metavar="OUT", help="of the sitting before")
    parser.add_argument("--work", type=Path, default=Path("studies/cuda"))
    parser.add_argument("--travel-mb", type=float, default=30, help="for the grid's weights")
    parser.add_argument("--smoke", action="store_true", help="all of it small, on any device")
    options = parser.parse_args(argv)

    began = time.monotonic()
    import optuna
    import torch

    from benchmarks.cuda.sitting import Sitting
    from models.errors import first_line

    if not (options.smoke or torch.cuda.is_available()):
        print("There is no GPU here; `--smoke` does all of it small on the CPU.", file=sys.stderr)
        return 2
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for folder in (options.out, options.work):
        folder.mkdir(parents=True, exist_ok=True)
    sitting = Sitting(
        out=options.out,
        work=options.work,
        resume=options.resume,
        data=options.data,
        epochs=options.epochs,
        ends=began + 60 * options.minutes,
        smoke=options.smoke,
        travel_bytes=int(options.travel_mb * 1e6),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    failed = 0
    for part in options.parts:
        start = time.monotonic()
        try:
            importlib.import_module(f"benchmarks.cuda.{part}").run(sitting)
        except Exception as err:  # the other parts are worth having all the same
            told = f"{type(err).__name__}: {first_line(err)}"
            sitting.row(part, failed=told[:500])
            failed += 1
        sitting.row(part, seconds_in_all=round(time.monotonic() - start, 1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
