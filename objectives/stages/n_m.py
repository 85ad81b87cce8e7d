"""n:m sparsity: exactly n of each m consecutive weights stay, and are fine-tuned.

The weight of a layer is a matrix (out, k), k = inputs of a dense layer; of a convolution the
inputs are the last axis, so that a group has one place in the kernel: (out, kernel, inputs). Each
row is cut into groups of m; in a group the n largest magnitudes stay, among equal ones the first.
With 2:4 processors exist that skip the zeros, as each row has equally many in known places, and a
file needs n log2 m bits at most for the places of a group, not an index for each weight.

Where m does not divide the inputs, the last group of r < m is short and keeps ceil(n r / m) of
them: never a smaller share than the others. Layers with a single input channel or feature are left
dense, as each of their groups would be one weight; so is an embedding, of which one row is read.

Source: Mishra et al. 2021, arXiv:2104.08378, section 3 (2:4: prune once by magnitude, fine-tune
with the masks fixed); Hubara et al. 2021, arXiv:2102.08124 and Zhou et al. 2021, arXiv:2102.04010
(n:m).
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.base import FineTuned, Tuning
from objectives.suggests import Suggests
from objectives.training.loop import tune_
from objectives.training.masks import MaskKeeper, apply_masks_

SEARCHED_PATTERNS = ("2:4", "1:4", "4:8", "2:8", "1:8", "1:16")


def n_m_mask(weight: Tensor, n: int, m: int) -> Tensor:
    """Return a keep-mask over `weight` (out, inputs, ...), groups of m along the inputs."""
    rows = weight.detach().abs().movedim(1, -1)  # (out, ..., inputs)
    inputs = rows.shape[-1]
    padded = nn.functional.pad(rows, (0, -inputs % m), value=-1.0)  # behind any magnitude
    groups = padded.unflatten(-1, (-1, m))  # (out, ..., groups, m)
    order = groups.sort(dim=-1, descending=True, stable=True).indices
    rank = order.argsort(-1)  # 0 is the largest of its group
    kept = torch.full((groups.shape[-2], 1), n)
    short = inputs % m
    if short:
        kept[-1] = -(-n * short // m)
    mask: Tensor = (rank < kept).flatten(-2)[..., :inputs]
    return mask.movedim(-1, 1).contiguous()


@dataclass(frozen=True, kw_only=True)
class GroupPruning(FineTuned):
    """Keep n of each m consecutive weights."""

    stage = "n_m"
    version = 1
    kind = "masking"
    order = 1

    n: int = 2
    """Weights of a group that stay."""
    m: int = 4
    """Weights of a group."""

    def __post_init__(self) -> None:
        require(1 <= self.n <= self.m, "1 <= n <= m", n=self.n, m=self.m)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"{self.n} of each {self.m}"

    @property
    def is_neutral(self) -> bool:
        """All of m weights stay, and nothing is fine-tuned."""
        return self.n == self.m

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the pattern that `trial` suggests."""
        pattern: str = trial.suggest_categorical("n_m.pattern", SEARCHED_PATTERNS)
        n, m = map(int, pattern.split(":"))
        return replace(self, n=n, m=m)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the pruned and fine-tuned weights with their masks."""
        network = context.network_of(state)
        weights: dict[str, Tensor] = {
            name: layer.weight
            for name, layer in context.layers_of(network).items()
            if not isinstance(layer.module, nn.Embedding) and layer.weight.shape[1] > 1
        }
        masks = {name: n_m_mask(weight, self.n, self.m) for name, weight in weights.items()}
        apply_masks_(weights, masks)
        tune_(network, context, self, callbacks=[MaskKeeper(weights, masks)])
        return NetworkState(weights=copy_weights(network), masks=masks)
