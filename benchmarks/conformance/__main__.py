"""Print how far each network's files are from the network: `python -m benchmarks.conformance`."""

import argparse
import sys
import time
from collections.abc import Sequence

from tabulate import tabulate


def main(argv: Sequence[str] | None = None) -> int:
    """Try the cells that are asked for; return 1 if one went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformance", description=__doc__)
    parser.add_argument("--networks", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--stages", nargs="*", metavar="NAME", help="default: all")
    options = parser.parse_args(argv)

    from benchmarks.conformance.cells import STAGES, Subject, conformance_data
    from benchmarks.conformance.registry import all_networks
    from models.errors import first_line
    from objectives.errors import TrialError

    builders = all_networks()
    networks = [
        name
        for name in builders
        if options.networks is None or any(each in name for each in options.networks)
    ]
    stages = options.stages or list(STAGES)
    data = conformance_data()
    rows: list[list[str]] = []
    wrong: list[str] = []
    refused: dict[tuple[str, str], list[str]] = {}
    for name in networks:
        subject = Subject(builders[name], data)
        row = [name]
        began = time.perf_counter()
        for stage in stages:
            try:
                cell = subject.through(stage)
            except TrialError as err:
                wrong.append(f"{name}, {stage}: {first_line(err)}")
                row.append("WRONG")
                continue
            except Exception as err:
                wrong.append(f"{name}, {stage}: {type(err).__name__}: {first_line(err)}")
                row.append("WRONG")
                continue
            row.append("refused" if cell.off is None else f"{cell.off:.0e}")
            if cell.off is None:
                refused.setdefault((name, cell.reason), []).append(stage)
        rows.append(row)
        print(*row, f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
    print(tabulate(rows, ["network", *stages], "pipe", disable_numparse=True))
    refusals = [
        f"{name}, {'each stage' if each == stages else ', '.join(each)}: {reason}"
        for (name, reason), each in refused.items()
    ]
    for title, lines in (("Refused, before anything is trained", refusals), ("Wrong", wrong)):
        if lines:
            print(f"\n{title}:\n", *(f"- {line}" for line in lines), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
