"""A plan: the settings of every stage of one trial."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from models.errors import BadInputError
from objectives.stages.base import StageSettings
from objectives.stages.prune import WeightPruning
from objectives.stages.quantize import Quantization
from objectives.stages.train import BaselineTraining


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plain data that, with model, data and seed, decides a trial's result."""

    train: BaselineTraining
    warm_start: WeightPruning | None = None
    """Pruning whose result is pruned further, or less; None starts from the baseline."""
    prune: WeightPruning
    quantize: Quantization

    def stages(self) -> Iterator[StageSettings]:
        """Yield the settings of the stages that do something, in the order of their execution."""
        for settings in (self.train, self.warm_start, self.prune, self.quantize):
            if settings is not None and not settings.is_neutral:
                yield settings

    def uncompressed(self) -> "Plan":
        """Return the plan of the baseline."""
        return replace(
            self,
            warm_start=None,
            prune=replace(self.prune, sparsity=0.0, layers={}),
            quantize=replace(self.quantize, bits=32, layers={}),
        )

    def to_json(self) -> str:
        """Return the plan as JSON; `from_json` undoes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote.

        Raises:
            BadInputError: It is no plan, or a setting breaks its law.
        """
        try:
            fields = json.loads(text)
            warm_start = fields.get("warm_start")
            return cls(
                train=BaselineTraining(**fields["train"]),
                warm_start=WeightPruning(**warm_start) if warm_start else None,
                prune=WeightPruning(**fields["prune"]),
                quantize=Quantization(**fields["quantize"]),
            )
        except json.JSONDecodeError as err:
            raise BadInputError(f"The plan is not JSON: {err}.") from err
        except KeyError as err:
            raise BadInputError(f"The plan is not one: it lacks {err}.") from err
        except (AttributeError, TypeError) as err:
            raise BadInputError(f"The plan is not one: {err}.") from err
