"""Command line: `python -m objectives.container encode|decode IN OUT`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from objectives.container.format import METHODS, decode, encode
from objectives.errors import ContainerError, DiskFullError
from objectives.files import write_atomically


def main(argv: Sequence[str] | None = None) -> int:
    """Encode or decode a file; return 2 and print a line on stderr if that cannot be done."""
    parser = argparse.ArgumentParser("python -m objectives.container", description=__doc__)
    parser.add_argument("action", choices=["encode", "decode"])
    parser.add_argument("source", type=Path, help="an ONNX file; to decode, a container")
    parser.add_argument("target", type=Path, help="the file that is written")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help="to encode weights by (default: %(default)s)"
    )
    parser.add_argument(
        "--no-dictionary",
        action="store_true",
        help="share no typical graph between coder and decoder (for both actions)",
    )
    options = parser.parse_args(argv)
    dictionary = b"" if options.no_dictionary else None
    try:
        content = options.source.read_bytes()
        if options.action == "encode":
            result = encode(content, options.methods.split(","), dictionary=dictionary)
        else:
            result = decode(content, dictionary=dictionary)
        write_atomically(options.target, result)
    except (ContainerError, DiskFullError, OSError, ValueError) as err:
        print(f"{options.source}: {err}", file=sys.stderr)
        return 2
    print(f"{options.target}: {len(content):,} bytes -> {len(result):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
