"""The space `layerwise`: density and bits of each layer, of groups of layers in a deep network.

The first and the last layer, which bear least, are groups of their own; the layers between are
cut into runs of neighbours, so that there are never more than `MOST_GROUPS` groups and twice as
many dimensions. Within a group all layers have the same density and bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from optuna.trial import BaseTrial

from objectives.plan import Plan
from objectives.stages.base import LOWEST_SEARCHED_DENSITY
from objectives.stages.quantize import PRECISIONS
from objectives.training.sensitivity import Sensitivity
from search.settings.config import StudyConfig

MOST_GROUPS = 9
FIRST_CHANGES_PCT = (1.0, 3.0, 10.0, 30.0)
"""The first trials let each layer alone change so many answers before fine-tuning."""


def layer_groups(layers: Sequence[str], most: int = MOST_GROUPS) -> dict[str, list[str]]:
    """Return `layers`, which are in the network's order, in at most `most` groups by name.

    A group of several is named after its first and last layer, "block1.conv..block2.conv".
    """
    if len(layers) <= most:
        return {layer: [layer] for layer in layers}
    inner = np.array_split(np.array(layers[1:-1], dtype=object), most - 2)
    groups = [[layers[0]], *(list(run) for run in inner), [layers[-1]]]
    return {group[0] if len(group) == 1 else f"{group[0]}..{group[-1]}": group for group in groups}


class LayerwiseSpace:
    """A density on a logarithmic scale and a precision for each group of layers.

    Args:
        config: Of the study.
        layer_sizes: Weights of each layer that is compressed, by name, in the network's order.
    """

    def __init__(self, config: StudyConfig, layer_sizes: Mapping[str, int]) -> None:
        self._config = config
        self._sizes = layer_sizes
        self._precisions = config.runs_on.having(PRECISIONS)
        self.groups = layer_groups(list(layer_sizes))

    def suggest(self, trial: BaseTrial) -> Plan:
        """Return the plan that `trial` is to carry out."""
        sparsity: dict[str, float] = {}
        bits: dict[str, int] = {}
        for group, layers in self.groups.items():
            density = trial.suggest_float(
                f"prune.density.{group}", LOWEST_SEARCHED_DENSITY, 1.0, log=True
            )
            precision = trial.suggest_categorical(f"quantize.bits.{group}", self._precisions)
            sparsity |= dict.fromkeys(layers, 1 - density)
            bits |= dict.fromkeys(layers, precision)
        template = self._config.plan()
        masking = replace(template.of_the_paper("masking"), layers=sparsity)
        masking = replace(masking, sparsity=masking.overall_sparsity(self._sizes))
        stored = template.of_the_paper("representation")
        return template.with_stages(masking, replace(stored, bits=max(bits.values()), layers=bits))

    def first_trials(self, sensitivity: Sensitivity) -> list[dict[str, float]]:
        """Return parameters to begin with: each layer as small as four limits allow.

        A group goes as far as its most sensitive layer.
        """
        return [
            {
                f"prune.density.{group}": max(
                    sensitivity.lowest_density(layer, changed_pct) for layer in layers
                )
                for group, layers in self.groups.items()
            }
            | {
                f"quantize.bits.{group}": max(
                    sensitivity.lowest_bits(layer, changed_pct) for layer in layers
                )
                for group, layers in self.groups.items()
            }
            for changed_pct in FIRST_CHANGES_PCT
        ]
