"""The settings that decide a study's results, one field each."""

from dataclasses import dataclass

from models.classifier import Optimizer
from models.data_source import Augmentation
from models.layers import ALL_LAYERS
from objectives.recipe import LrDecay, MixedPrecision
from objectives.runtimes import DEFAULT
from objectives.score.base import Mode
from objectives.stages.base import LOWEST_SEARCHED_DENSITY
from objectives.stages.quantize import PAPER_PRECISIONS
from objectives.training.masks import ALLOCATIONS, Allocation
from search.settings.vocabulary import PAPER_SPARSITIES, ObjectiveName, SpaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySettings:
    """What a study is asked to do; `search.settings.config` adds the laws and what follows."""

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
    task: str = "multiclass"
    """What is asked of the network, by the names of `models.tasks`."""
    metric: str = "accuracy"
    """What files are scored by, as `objectives.score.named` takes it."""
    metric_args: str = "{}"
    """JSON of what the metric is made with."""
    metric_mode: Mode = "max"
    """Whether more or less of it is better."""
    metric_is_share: bool = True
    """Whether it is told in percent, and changes in percentage points."""
    metric_fingerprint: str | None = None
    """Hash over a metric's code, where that is the user's."""
    preset: str | None = None
    """Name of the preset that was asked for: a label in tables and reports."""
    input_size: int | None = None
    """Height and width that images are resized to, pixels."""
    train_fraction: float = 1.0
    """Share of the training part that is used."""
    held_out: float = 0.3
    """Share of that which is held out for validation."""
    test_fraction: float = 1.0
    """Share of the test part that is used."""
    augment: Augmentation | None = None
    """Random changes of training images; None is what the data set's file says."""
    data_memory_gb: float | None = None
    """What a folder's images may take in memory; it decides no result."""
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
    ranges: tuple[str, ...] = ()
    """NAME=LOW,HIGH or NAME=VALUE: parameters of the space `wide` that have other ranges."""
    precision: tuple[int, ...] = PAPER_PRECISIONS
    """Bits of the grid."""
    allocation: Allocation = "uniform"
    """Whether each layer is pruned to the sparsity, or all layers together."""
    allocations: tuple[Allocation, ...] = ALLOCATIONS
    """Those that a search of the space `wide` chooses from."""
    runtime: str = DEFAULT
    """What files are written for, and scored, timed and measured by; see `objectives.runtimes`."""
    objective: ObjectiveName = "quality"
    """What a trial returns, on validation: Eq. 5, the retained saving U, or score and bytes."""
    extra_objectives: tuple[str, ...] = ()
    """What `pareto` minimizes too, by the names of `EXTRA_OBJECTIVES`."""
    energy_version: int | None = None
    """Of the estimate of energy, where that is an objective; None otherwise, and where it was the
    first."""
    max_drop: float | None = None
    """Constraint: what of the validation score may be lost: percentage points of a share, as of
    accuracy, else percent of the baseline's."""
    max_bytes: int | None = None
    """Constraint: bytes of the artifact after gzip, or of its container."""
    max_latency_ms: float | None = None
    """Constraint: milliseconds of one input on one thread."""
    max_ram_kb: float | None = None
    """Constraint: memory that running one input takes, in 1,024 bytes."""
    max_flash_kb: float | None = None
    """Constraint: the file as it lies in flash, in 1,024 bytes, the runtime's code not counted."""
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
    baseline_optimizer: Optimizer = "adam"
    """What trains the baseline; all else is fine-tuned by Adam."""
    baseline_lr: float | None = None
    """Its learning rate, if not `lr`."""
    lr_decay: LrDecay = "none"
    """Whether the learning rate falls within each stage."""
    distill_weight: float = 0.0
    """Share of fine-tuning's loss that asks for the baseline's answers."""
    distill_temperature: float = 4.0
    """What logits are divided by for that."""
    mixed_precision: MixedPrecision = "auto"
    """Whether training computes in bfloat16; auto: on CUDA only."""
    seed: int = 0
    """Decides initial weights and the order of batches."""
    accelerator: str = "cpu"
    """Device that trains: its arithmetic decides the last bits of a result."""
    threads: int | None = None
    """That train: their number decides a large network's last bits. None is not yet decided."""
