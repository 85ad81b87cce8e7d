"""A plan: the settings of every stage of one trial."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from objectives.stages.base import StageSettings
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plain data that, with model, data and seed, decides a trial's result."""

    train: BaselineTraining
    prune: WeightPruning
    quantize: Quantization

    def stages(self) -> Iterator[StageSettings]:
        """Yield the settings of the stages that do something, in the order of their execution."""
        for settings in (self.train, self.prune, self.quantize):
            if not settings.is_neutral:
                yield settings

    def to_json(self) -> str:
        """Return the plan as JSON; `from_json` undoes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote.

        Raises:
            BadInputError: A setting breaks its law.
        """
        fields = json.loads(text)
        return cls(
            train=BaselineTraining(**fields["train"]),
            prune=WeightPruning(**fields["prune"]),
            quantize=Quantization(**fields["quantize"]),
        )
