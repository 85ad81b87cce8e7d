"""What a runtime is: it writes its file from ours, runs it, and tells what memory that takes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import onnx

from models.data_source import DataSource
from models.errors import BadInputError
from objectives.errors import MeasurementError
from objectives.resident import resident_bytes
from objectives.runtimes import OF_ENDING
from objectives.score.file_network import FileNetwork


class Runtime(ABC):
    """Something that runs files; what it says of itself is true of all that it runs."""

    name: ClassVar[str]
    """As `--runtime` takes it."""
    title: ClassVar[str]
    """What people call it."""
    suffix: ClassVar[str] = ".onnx"
    """Ends the names of its files."""
    package: ClassVar[str]
    """On the registry, whose version is told."""
    module: ClassVar[str]
    """That must be there to import."""
    extra: ClassVar[str] = ""
    """Of ours, that installs it; "" of what is always there."""
    reads: ClassVar[tuple[str, ...]] = (".onnx",)
    """Ends of the names of files that it can open."""
    all_on_integers: ClassVar[bool] = False
    """Whether 8 bits are integers through and through, with no zero point of weights."""
    lacks_bits: ClassVar[frozenset[int]] = frozenset()
    """Precisions of weights that it does not have."""
    counts_raw: ClassVar[bool] = False
    """Whether what counts is the file as it lies in memory, not what is downloaded."""
    plans_memory: ClassVar[bool] = False
    """Whether it tells its memory itself, at no cost; else a process is started to measure it."""

    def require(self) -> None:
        """Raise `BadInputError` unless it is installed."""
        try:
            import_module(self.module)
        except ImportError as err:
            raise BadInputError(
                f"{self.title} needs `pip install 'compression-search[{self.extra}]'`."
            ) from err

    @property
    def version(self) -> str:
        """Of its package."""
        return version(self.package)

    def having(self, precisions: Iterable[int]) -> tuple[int, ...]:
        """Return those of `precisions`, bits of a weight, that it has."""
        return tuple(bits for bits in precisions if bits not in self.lacks_bits)

    def require_own(self, file: Path) -> None:
        """Raise `MeasurementError` if the name of `file` is of another runtime's."""
        if file.suffix in {".onnx", *OF_ENDING} and file.suffix not in self.reads:
            ends = " or ".join(self.reads)
            raise MeasurementError(f"{self.title} runs {ends} files, not {file.suffix} files.")

    def write(self, ours: Path, to: Path, data: DataSource) -> None:  # noqa: B027 - most have none
        """Write the file that is run, from a file of ours that lies beside it.

        Args:
            ours: Our file.
            to: Where it goes; where the suffix is .onnx, that is `ours` itself.
            data: Set up already; their training inputs may be looked at.

        Raises:
            MeasurementError: It has no such operator; the text names it.
        """

    def check(self, ours: Path, shipped: Path, data: DataSource) -> None:  # noqa: B027 - as above
        """Raise `MeasurementError` unless the file that is run answers about as ours does."""

    def content(self, path: Path) -> bytes:
        """Return the bytes of the file, and of those beside it that it keeps weights in."""
        content = path.read_bytes()
        places = {
            entry.value
            for tensor in onnx.load_from_string(content).graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
        return content + b"".join((path.parent / place).read_bytes() for place in sorted(places))

    @abstractmethod
    def open(self, path: Path, data: DataSource, *, threads: int) -> FileNetwork:
        """Return the file, open.

        Raises:
            MeasurementError: It cannot be opened, or does not take such inputs; the text does not
                name the file.
        """

    def ram_bytes(self, path: Path, data: DataSource) -> int | None:
        """Return the bytes of memory that opening the file and running it takes.

        Weights count where they are copied to memory. Unless the runtime says otherwise: what the
        resident memory of a process of its own grows by, at its peak, pages of the file included;
        None where the system does not tell.

        Raises:
            MeasurementError: It cannot run.
        """
        network = self.open(path, data, threads=1)
        return resident_bytes(self.name, path, network.feeds(data.training_inputs(1)))
