"""Width multiplier: train a network with fewer channels from scratch, in the baseline's place.

Is a large network with most weights gone better than a small one that has them all? With the
share `width` of the channels of each layer, a dense network has about width^2 of the weights. It
is trained as a baseline is, on the same batches, and compared with the baseline of full width, so
that both ways to a small file are in one study.

The narrow network is the one that `objectives.stages.channel_groups` leaves of the full one;
layers whose shape that changes are initialized anew, for their own numbers of inputs, and nothing
trained is kept.

Source: Howard et al. 2017, arXiv:1704.04861, section 3.3 (the multiplier); Zhu & Gupta 2017,
arXiv:1710.01878, section 4 ("large-sparse" against "small-dense"); with the very network that
channel removal gives, Liu et al. 2019, arXiv:1810.05270.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import nn

from models.checks import require
from objectives.context import Context
from objectives.network.state import NetworkState, copy_weights
from objectives.network.structure import fit_shapes_, make_weights_plain_
from objectives.stages.base import FineTuned, Tuning
from objectives.stages.channel_groups import equal_worth, keep_channels
from objectives.suggests import Suggests
from objectives.training.loop import stage_seed, train_

SEARCHED_WIDTH = (0.1, 1.0)


@dataclass(frozen=True, kw_only=True)
class WidthMultiplier(FineTuned):
    """Train a newly initialized network that has fewer channels."""

    stage = "width"
    former_name = "narrow"
    version = 1
    kind = "structure"
    order = 0
    fewest_epochs = 1

    width: float = 0.5
    """Share of the channels that each layer has, in (0, 1]; one at least."""

    def __post_init__(self) -> None:
        require(0 < self.width <= 1, "0 < width <= 1", width=self.width)
        super().__post_init__()

    @property
    def described(self) -> str:
        """The method in a few words."""
        return f"{100 * self.width:.3g} % wide"

    @property
    def is_neutral(self) -> bool:
        """At full width there is the baseline."""
        return self.width == 1

    def suggest_wide(self, trial: Suggests, tuning: Tuning) -> Self:
        """Return these settings with the width that `trial` suggests."""
        return replace(self, width=trial.suggest_float("width", *SEARCHED_WIDTH, log=True))

    @classmethod
    def attempt(cls, context: Context) -> nn.Module:
        """Return a network of half the channels."""
        return narrow_network(context, 0.5)

    def apply(self, state: NetworkState, context: Context) -> NetworkState:
        """Return the trained weights; nothing of `state` is kept."""
        torch.manual_seed(stage_seed(context.seed, "train"))  # the baseline's start and batches
        network = narrow_network(context, self.width)
        train_(
            network,
            context,
            stage="train",
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
        )
        return NetworkState(weights=copy_weights(network))


def narrow_network(context: Context, width: float) -> nn.Module:
    """Return a new untrained network with the share `width` of channels, on the CPU.

    Raises:
        TrialError: It has no channels that can be left out.
    """
    network = context.build_network()
    make_weights_plain_(network)
    full = NetworkState(weights=copy_weights(network))
    weights = keep_channels(full, context, share=width, worth=equal_worth).weights
    changed = fit_shapes_(network, weights)
    network.load_state_dict(weights)
    for module in changed:
        reset = getattr(module, "reset_parameters", None)
        if reset is not None:
            reset()
    return network
