#!/usr/bin/env bash
# Make ready what `python -m benchmarks.cuda` needs on a machine without a network, beside the torch that is there.
#
#   benchmarks/cuda_setup.sh WHEELS [TARGET]     then: export PYTHONPATH=TARGET
#
# Wheels in the folder WHEELS whose package is missing, or older than pyproject.toml asks for, are installed into
# TARGET (default: .cuda-site). Torch and what comes with it is taken as it is; what does not fit is said in a line.
set -euo pipefail
cd "$(dirname "$0")/.."

wheels=${1:?usage: benchmarks/cuda_setup.sh WHEELS [TARGET]}
target=${2:-.cuda-site}
python=${PYTHON:-python3}

PYTHONPATH="$target${PYTHONPATH:+:$PYTHONPATH}" "$python" - "$wheels" "$target" <<'PYTHON'
"""Install what is missing, and all that this needs in turn; say what does not fit."""

import re
import subprocess
import sys
import tomllib
from importlib import invalidate_caches
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

AS_IT_IS = {"torch", "torchvision", "pytorch-lightning", "torchmetrics", "nvidia", "triton"}
TESTS = ["pytest>=9", "hypothesis"]

wheels, target = Path(sys.argv[1]), sys.argv[2]
at_hand = {}
for wheel in sorted(wheels.glob("*.whl")):
    at_hand[canonicalize_name(re.split(r"-\d", wheel.name)[0])] = wheel
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
asked = [Requirement(line) for line in (*project["dependencies"], *TESTS)]
seen, problems = set(), []


def installed(name):
    invalidate_caches()
    try:
        return version(name)
    except PackageNotFoundError:
        return None


while asked:
    wanted = asked.pop()
    name = canonicalize_name(wanted.name)
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        continue
    there = installed(name)
    fits = there is not None and wanted.specifier.contains(there, prereleases=True)
    if not fits and name not in AS_IT_IS and name in at_hand:
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
        install += ["--upgrade", "--target", target, str(at_hand.pop(name))]
        subprocess.run(install, check=True)
        there = installed(name)
        fits = there is not None and wanted.specifier.contains(there, prereleases=True)
    if not fits:
        problems.append(f"{name}: {there or 'missing'}, wanted {wanted.specifier or 'any'}")
    if there is not None and name not in seen and name not in AS_IT_IS:
        seen.add(name)
        asked += [Requirement(line) for line in requires(name) or ()]
print("Does not fit:", "; ".join(sorted(set(problems))) or "nothing")
PYTHON

PYTHONPATH="$target${PYTHONPATH:+:$PYTHONPATH}" "$python" -c 'import benchmarks.cuda.__main__, search.session, objectives.artifact.export
print("Ready: the search can be imported.")'
