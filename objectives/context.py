"""What every stage of every trial of a study shares."""

from dataclasses import dataclass, field

from torch import nn

from models.images import ImageData
from models.registry import ModelSpec
from objectives.progress import Progress, SilentProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The model, the data and the seed that a plan is carried out with."""

    model_name: str
    model: ModelSpec
    data: ImageData
    """Set up already."""
    seed: int
    accelerator: str = "cpu"
    """Lightning's name of the device to train on: cpu, cuda or mps."""
    progress: Progress = field(default_factory=SilentProgress)

    def build_network(self) -> nn.Module:
        """Return a new untrained network on the CPU."""
        return self.model.build(self.data.input_shape, self.data.num_classes)
