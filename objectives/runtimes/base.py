"""What a runtime is: it writes its file from ours, runs it, and tells what memory that takes."""

from abc import ABC, abstractmethod
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from models.data_source import DataSource
from models.errors import BadInputError
from objectives.errors import MeasurementError
from objectives.resident import resident_bytes
from objectives.score.file_network import FileNetwork

ENDINGS = (".onnx", ".tflite", ".xml")
"""Of file names, that say whose a file is."""


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

    def require_own(self, file: Path) -> None:
        """Raise `MeasurementError` if the name of `file` is of another runtime's."""
        if file.suffix in ENDINGS and file.suffix not in self.reads:
            ends = " or ".join(self.reads)
            raise MeasurementError(f"{self.title} runs {ends} files, not {file.suffix} files.")

    def write(self, onnx: Path, to: Path, data: DataSource) -> None:  # noqa: B027 - most have none
        """Write the file that is run, from a file of ours that lies beside it.

        Args:
            onnx: Ours.
            to: Where it goes; where the suffix is .onnx, that is `onnx` itself.
            data: Set up already; their training inputs may be looked at.

        Raises:
            MeasurementError: It has no such operator; the text names it.
        """

    def check(self, onnx: Path, shipped: Path, data: DataSource) -> None:  # noqa: B027 - as above
        """Raise `MeasurementError` unless the file that is run answers about as ours does."""

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
