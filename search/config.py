"""Everything that decides a study's results, stored with the study."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from models.checks import require
from models.data_source import Augmentation
from models.errors import BadInputError
from models.layers import ALL_LAYERS
from objectives.masks import ALLOCATIONS, Allocation
from objectives.plan import MASKINGS, REPRESENTATIONS, STRUCTURES, WITHOUT_ZEROS, Plan
from objectives.plan import METHODS as STAGE_METHODS
from objectives.recipe import LrDecay, Recipe
from objectives.stages.base import Tuning
from objectives.stages.prune import LOWEST_SEARCHED_DENSITY, WeightPruning
from objectives.stages.quantize import PAPER_PRECISIONS, PRECISIONS, Quantization
from objectives.stages.train import BaselineTraining

ObjectiveName = Literal["quality", "saving", "pareto"]
OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)

SpaceName = Literal["paper", "wide", "layerwise", "plan"]
SPACES: tuple[SpaceName, ...] = get_args(SpaceName)

CODERS = ("huffman", "arithmetic")
"""Methods that code the file: its container is what counts then."""
METHODS = (*STAGE_METHODS, "distill", *CODERS)

Direction = Literal["minimize", "maximize"]
DIRECTIONS: dict[str, Direction] = {
    "quality": "maximize",
    "saving": "maximize",
    "val_accuracy_pct": "maximize",
    "artifact_bytes": "minimize",
    "container_bytes": "minimize",
    "latency_ms": "minimize",
    "energy_uj": "minimize",
}
"""Which way each user attribute that can be an objective is better."""

EXTRA_OBJECTIVES = {"latency": "latency_ms", "energy": "energy_uj"}
"""The user attributes that `pareto` can minimize beside the size."""

PAPER_SPARSITIES = (0.0, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyConfig:
    """A study is resumed only with the same config."""

    model: str
    """Name of the model, as `models.resolve` takes it."""
    model_fingerprint: str = ""
    """Hash over the network, so that other code under the same name is noticed."""
    weights: str | None = None
    """Hash of the file of trained weights that takes the place of the baseline's training."""
    layers: tuple[str, ...] = ALL_LAYERS
    """Shell patterns of the layers that are compressed."""
    data: str
    """Name of the data, as `models.resolve` takes it."""
    data_fingerprint: str = ""
    """Hash over the data, so that other files under the same name are noticed."""
    preset: str | None = None
    """Name of the preset that was asked for: a label in tables and reports."""
    input_size: int | None = None
    """Height and width that images are resized to, pixels."""
    train_fraction: float = 1.0
    """Share of the training part that is used."""
    test_fraction: float = 1.0
    """Share of the test part that is used."""
    augment: Augmentation | None = None
    """Random changes of training images; None is what the data set's file says."""
    space: SpaceName = "paper"
    """Name of the search space; `plan` holds nothing but `only_plan`."""
    only_plan: str | None = None
    """The one plan, as JSON, of the space `plan`."""
    methods: tuple[str, ...] = ("prune", "quantize")
    """What the search may do to the network and its file."""
    sparsity: tuple[float, ...] = PAPER_SPARSITIES
    """Sparsities of the grid, each in [0, 1)."""
    density: tuple[float, ...] = (LOWEST_SEARCHED_DENSITY, 1.0)
    """Least and most share of weights that a search of the space `wide` keeps."""
    precision: tuple[int, ...] = PAPER_PRECISIONS
    """Bits of the grid."""
    allocation: Allocation = "uniform"
    """Whether each layer is pruned to the sparsity, or all layers together."""
    allocations: tuple[Allocation, ...] = ALLOCATIONS
    """Those that a search of the space `wide` chooses from."""
    objective: ObjectiveName = "quality"
    """What a trial returns, on validation: Eq. 5, the retained saving U, or accuracy and bytes."""
    extra_objectives: tuple[str, ...] = ()
    """What `pareto` minimizes too, by the names of `EXTRA_OBJECTIVES`."""
    max_drop: float | None = None
    """Constraint: percentage points of validation accuracy that may be lost."""
    max_bytes: int | None = None
    """Constraint: bytes of the artifact after gzip, or of its container."""
    max_latency_ms: float | None = None
    """Constraint: milliseconds of one input on one thread."""
    epochs: int
    """Epochs of the baseline's training, and of each fine-tuning unless that has its own."""
    fine_tune_epochs: int | None = None
    """Epochs of each fine-tuning while pruning, if not `epochs`."""
    qat_epochs: int
    """Epochs of fine-tuning while quantized or while values are shared."""
    batch_size: int
    """Images in a training step."""
    lr: float
    """Adam's learning rate."""
    lr_decay: LrDecay = "none"
    """Whether the learning rate falls within each stage."""
    distill_weight: float = 0.0
    """Share of fine-tuning's loss that asks for the baseline's answers."""
    distill_temperature: float = 4.0
    """What logits are divided by for that."""
    seed: int = 0
    """Decides initial weights and the order of batches."""
    accelerator: str = "cpu"
    """Device that trains: its arithmetic decides the last bits of a result."""
    threads: int | None = None
    """That train: their number decides a large network's last bits. None is not yet decided."""

    def __post_init__(self) -> None:
        require(len(self.sparsity) > 0, "sparsity is not empty", sparsity=self.sparsity)
        require(len(self.precision) > 0, "precision is not empty", precision=self.precision)
        for values, name in ((self.sparsity, "sparsity"), (self.precision, "precision")):
            require(len(set(values)) == len(values), f"{name} names no value twice", got=values)
        require(
            self.objective in OBJECTIVES, f"objective in {OBJECTIVES}", objective=self.objective
        )
        require(self.space in SPACES, f"space in {SPACES}", space=self.space)
        require(
            (self.space == "plan") == (self.only_plan is not None),
            "the space plan goes with --plan, and no other does",
            space=self.space,
        )
        if self.only_plan is not None:
            Plan.from_json(self.only_plan)
        extra = ",".join(self.extra_objectives)
        require(
            set(self.extra_objectives) <= set(EXTRA_OBJECTIVES),
            f"--with names some of {', '.join(EXTRA_OBJECTIVES)}",
            named=extra,
        )
        require(
            len(set(self.extra_objectives)) == len(self.extra_objectives),
            "--with names none twice",
            named=extra,
        )
        require(
            not self.extra_objectives or self.objective == "pareto",
            f"--with {extra} goes with --objective pareto",
            objective=self.objective,
        )
        for name in ("max_drop", "max_bytes", "max_latency_ms"):
            limit = getattr(self, name)
            require(limit is None or limit >= 0, f"{name} >= 0", **{name: limit})
        require(
            len(self.density) == 2 and 0 < self.density[0] <= self.density[1] <= 1,
            "--density names two shares of weights, 0 < low <= high <= 1",
            density=self.density,
        )
        require(
            self.fine_tune_epochs is None or self.fine_tune_epochs >= 1,
            "fine_tune_epochs >= 1",
            fine_tune_epochs=self.fine_tune_epochs,
        )
        self._check_methods()
        require(0 <= self.seed < 2**32, "0 <= seed < 2**32", seed=self.seed)
        for sparsity in self.sparsity:  # each stage checks its own settings
            for bits in self.precision:
                self.plan(sparsity, bits)

    def _check_methods(self) -> None:
        unknown = sorted(set(self.methods) - set(METHODS))
        if unknown:
            known = ", ".join(METHODS)
            raise BadInputError(f"Unknown method {unknown[0]!r}. Known: {known}.")
        require(
            self.methods == ("prune", "quantize") or self.space in {"wide", "plan"},
            "--methods goes with --space wide",
            methods=self.methods,
        )
        require(
            len(set(self.methods)) == len(self.methods),
            "methods names none twice",
            methods=self.methods,
        )
        representations = set(self.methods).intersection(REPRESENTATIONS)
        keep_no_zeros = bool(representations) and representations <= set(WITHOUT_ZEROS)
        require(
            not (keep_no_zeros and set(MASKINGS) & set(self.methods)),
            "--methods with prune names a representation that keeps zeros",
            methods=self.methods,
        )

    @property
    def fine_tuning_epochs(self) -> int:
        """Epochs of a fine-tuning while pruning, at most."""
        return self.fine_tune_epochs or self.epochs

    @property
    def trial_epochs(self) -> int:
        """Epochs of fine-tuning of one trial, at most."""
        reshaping = sum(name in self.methods for name in STRUCTURES)
        masking = any(name in self.methods for name in MASKINGS)
        return (reshaping + masking) * self.fine_tuning_epochs + self.qat_epochs

    @property
    def coders(self) -> tuple[str, ...]:
        """How files are coded into containers; none where gzip's size counts."""
        return tuple(name for name in CODERS if name in self.methods)

    @property
    def size(self) -> str:
        """The user attribute that is a trial's size."""
        return "container_bytes" if self.coders else "artifact_bytes"

    @property
    def values(self) -> tuple[str, ...]:
        """The user attributes that a trial's values are."""
        if self.objective != "pareto":
            return (self.objective,)
        extra = [EXTRA_OBJECTIVES[name] for name in self.extra_objectives]
        return ("val_accuracy_pct", self.size, *extra)

    def plan(self, sparsity: float = 0.0, bits: int = PRECISIONS[0]) -> Plan:
        """Return the plan of one combination."""
        return Plan(
            recipe=Recipe(
                lr_decay=self.lr_decay,
                distill_weight=self.distill_weight,
                distill_temperature=self.distill_temperature,
            ),
            train=BaselineTraining(
                epochs=0 if self.weights else self.epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                weights=self.weights,
            ),
            prune=WeightPruning(
                sparsity=sparsity,
                allocation=self.allocation,
                epochs=self.fine_tuning_epochs,
                batch_size=self.batch_size,
                lr=self.lr,
            ),
            quantize=Quantization(
                bits=bits,
                qat_epochs=self.qat_epochs,
                batch_size=self.batch_size,
                lr=self.lr,
            ),
        )

    @property
    def tuning(self) -> Tuning:
        """How stages fine-tune unless a trial says otherwise."""
        return Tuning(
            epochs=self.fine_tuning_epochs,
            qat_epochs=self.qat_epochs,
            batch_size=self.batch_size,
            lr=self.lr,
        )

    def to_json(self) -> str:
        """Return the config as JSON; `from_json` undoes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "StudyConfig":
        """Return the config that `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        if fields.pop("with_latency", False):  # what studies stored before there was energy
            fields["extra_objectives"] = ["latency"]
        sequences = ("sparsity", "density", "precision", "allocations", "layers", "methods")
        for name in (*sequences, "extra_objectives"):
            if name in fields:
                fields[name] = tuple(fields[name])
        return cls(**fields)

    def require_same(self, stored: "StudyConfig", study_name: str) -> None:
        """Raise `BadInputError` naming every setting in which `stored` differs.

        Threads that one of them leaves open do not differ.
        """
        ours, theirs = asdict(self), asdict(stored)
        if None in (self.threads, stored.threads):
            del ours["threads"]
        differing = [
            f"{name} {theirs[name]!r} (now {ours[name]!r})"
            for name in ours
            if ours[name] != theirs[name]
        ]
        if differing:
            raise BadInputError(
                f"Study '{study_name}' was made with other settings: {', '.join(differing)}. "
                "Resume it with those, or give `--study` another name."
            )
