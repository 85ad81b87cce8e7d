"""Channels: remove whole output channels and neurons for good, and fine-tune what is left.

Single zeros make a file smaller, but a runtime still multiplies by them; a channel that is gone
is in no matrix any more, so the file gets faster too. What it takes with it, its normalization
and its part of the layers that read it, is worked out in `objectives/stages/channel_groups.py`.
The worth of a channel c is the mean, over the layers l of its group, of

    sum |w|^p    over the weights w of l that make c or read it, p = 1 or 2        (Eq. 1)

as small weights change answers little. Each group keeps the same share of its channels.

Source: Li et al. 2017, arXiv:1608.08710, section 3.1 (p = 1, the weights that make a channel);
Fang et al. 2023, arXiv:2301.12900, section 3.3 (p = 2, all weights of the group).
"""

from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from torch_pruning.pruner.importance import GroupMagnitudeImportance

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.stages.base import FineTuned, Tuning
from objectives.stages.channel_groups import equal_worth, keep_channels
from objectives.suggests import Suggests
from objectives.training.loop import tune_

Norm = Literal["l1", "l2"]
NORMS: tuple[Norm, ...] = get_args(Norm)
POWERS = {"l1": 1, "l2": 2}

SEARCHED_SHARE = (0.1, 1.0)


@dataclass(frozen=True, kw_only=True)
class ChannelRemoval(FineTuned):
    """Remove the channels of the smallest weights."""

    stage = "channels"
    version = 2
    kind = "structure"
    order = 1

    share: float = 0.5
    """Share of its channels that each group of layers keeps, in (0, 1]; one at least."""
    norm: Norm = "l2"
    """What a channel's worth is the sum of: magnitudes or their squares."""

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, "0 < share <= 1", share=self.share)
        require(self.norm in NORMS, f"norm in {NORMS}", norm=self.norm)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"{100 * self.share:.3g} % of channels"

    @property
    def is_neutral(self) -> bool:
        """All channels are kept, and nothing is fine-tuned."""
        return self.share == 1

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the share and the norm that `trial` suggests."""
        return replace(
            self,
            share=trial.suggest_float("channels.share", *SEARCHED_SHARE, log=True),
            norm=trial.suggest_categorical("channels.norm", NORMS),
        )

    @classmethod
    def attempt(cls, context: Context) -> None:
        """Raise `TrialError` if no channels can be removed."""
        keep_channels(context.untrained(), context, share=0.5, worth=equal_worth)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the weights of the smaller network."""
        worth = GroupMagnitudeImportance(p=POWERS[self.norm])  # Eq. 1, over its mean
        smaller = keep_channels(state, context, share=self.share, worth=worth)
        if self.epochs == 0:
            return smaller
        network = context.network_of(smaller)
        tune_(network, context, self)
        return NetworkState(weights=copy_weights(network))
