import pytest
import torch
from torch import Tensor, nn
from toys import FewDigits, toy_context

from models.errors import BadInputError
from models.registry import MODELS, ModelSpec
from objectives.context import Context
from objectives.errors import TrialError
from objectives.network.state import NetworkState, copy_weights
from objectives.preflight.network import check_methods
from objectives.stages.channel_groups import equal_worth, keep_channels


class Bound(nn.Module):
    """Two layers that are added, a depthwise one, and layers in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 10, 3, stride=3)
        self.left, self.right = nn.Conv2d(10, 6, 1), nn.Conv2d(10, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.depthwise = nn.Conv2d(6, 6, 3, groups=6)
        self.before_groups = nn.Conv2d(6, 8, 1)
        self.in_groups = nn.Conv2d(8, 12, 3, groups=4)
        self.dense = nn.Linear(12 * 5 * 5, 7)
        self.head = nn.Linear(7, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.stem(pixels).relu()
        features = self.norm(self.left(features) + self.right(features)).relu()
        features = self.in_groups(self.before_groups(self.depthwise(features)))
        return self.head(self.dense(features.flatten(1)).relu())


class Viewed(nn.Module):
    """A size that is written into the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 7, stride=7), nn.Linear(4 * 16, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.conv(pixels).reshape(-1, 4, 16).flatten(1))


def a_context(digits: FewDigits, build: type[nn.Module], **changes: object) -> Context:
    return toy_context(digits, model=ModelSpec(build=lambda *_: build(), data="own"), **changes)


def untrained(context: Context) -> NetworkState:
    return NetworkState(weights=copy_weights(context.build_network()))


def shapes(state: NetworkState) -> dict[str, tuple[int, ...]]:
    return {
        name.removesuffix(".weight"): tuple(weight.shape)
        for name, weight in state.weights.items()
        if weight.dim() > 1
    }


def test_what_is_bound_goes_together_and_what_is_in_groups_stays(digits: FewDigits) -> None:
    context = a_context(digits, Bound)
    smaller = keep_channels(untrained(context), context, share=0.5, worth=equal_worth)
    assert shapes(smaller) == {
        "stem": (5, 1, 3, 3),
        "left": (3, 5, 1, 1),
        "right": (3, 5, 1, 1),
        "depthwise": (3, 1, 3, 3),
        "before_groups": (8, 3, 1, 1),  # each group of the next layer reads two of these
        "in_groups": (12, 2, 3, 3),
        "dense": (4, 300),
        "head": (10, 4),
    }
    assert smaller.weights["norm.running_var"].shape == (3,)


@pytest.mark.parametrize(
    ("share", "kept"), [(0.01, 1), (0.25, 3), (0.5, 6), (0.71, 9), (0.99, 12)]
)
def test_exactly_the_rounded_share_is_kept(share: float, kept: int, context: Context) -> None:
    smaller = keep_channels(untrained(context), context, share=share, worth=equal_worth)
    assert shapes(smaller) == {"conv": (kept, 1, 3, 3), "dense": (10, kept * 13 * 13)}


@pytest.mark.parametrize("model", ["cnn", "lenet300", "lenet5"])
def test_a_channel_that_makes_nothing_is_missed_by_nobody(model: str, digits: FewDigits) -> None:
    """Of each layer but the last, the first half is set to zero, and is what goes."""
    context = toy_context(digits, model=MODELS.get(model))
    state = untrained(context)
    for layer in list(shapes(state))[:-1]:
        half = len(state.weights[f"{layer}.weight"]) // 2
        state.weights[f"{layer}.weight"][:half] = 0
        state.weights[f"{layer}.bias"][:half] = 0
    smaller = keep_channels(state, context, share=0.5, worth=equal_worth)
    pixels = digits.training_inputs(20)
    with torch.no_grad():
        before, after = (context.network_of(one)(pixels) for one in (state, smaller))
    assert torch.allclose(before, after, atol=1e-5)
    numbers = [sum(weight.numel() for weight in one.weights.values()) for one in (state, smaller)]
    assert numbers[1] < 0.51 * numbers[0]


def test_layers_that_are_not_compressed_keep_their_channels(digits: FewDigits) -> None:
    context = a_context(digits, Bound, layers=("dense", "left"))
    smaller = keep_channels(untrained(context), context, share=0.5, worth=equal_worth)
    expected = shapes(untrained(context)) | {"dense": (4, 300), "head": (10, 4)}
    assert shapes(smaller) == expected  # what is left is bound to what is right


def test_networks_that_cannot_lose_channels_are_refused_with_the_reason(
    digits: FewDigits,
) -> None:
    one_layer = toy_context(
        digits,
        model=ModelSpec(
            build=lambda *_: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), data="own"
        ),
    )
    with pytest.raises(TrialError, match="all are bound to inputs, logits or layers that stay"):
        keep_channels(untrained(one_layer), one_layer, share=0.5, worth=equal_worth)
    viewed = a_context(digits, Viewed)
    with pytest.raises(BadInputError, match=r"cannot be removed .*: RuntimeError: .*") as caught:
        check_methods(["channels"], viewed)
    assert "\n" not in str(caught.value)


class Gated(nn.Module):
    """A convolution whose two halves are multiplied, and another that loses channels freely."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.free = nn.Conv2d(1, 8, 5, stride=4), nn.Conv2d(4, 8, 3)
        self.head = nn.Linear(8, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        values, gate = self.both(pixels).chunk(2, dim=1)
        return self.head(self.free(values * gate.sigmoid()).relu().amax((2, 3)))


class ChannelsLast(nn.Module):
    """Channels are the last axis of what is flattened: each eighth input of the head is one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 5, stride=4), nn.Linear(8 * 36, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.conv(pixels).relu().permute(0, 2, 3, 1).flatten(1))


class Tied(nn.Module):
    """Two layers with one weight, and one that could lose channels but for them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = (
            nn.Linear(784, 16),
            nn.Linear(16, 16),
            nn.Linear(16, 10),
        )
        self.last = nn.Linear(16, 16)
        self.last.weight = self.again.weight

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.last(self.again(self.first(pixels.flatten(1)).relu()).relu()))


def test_a_group_that_would_go_wrong_stays_whole_and_others_lose_channels(
    digits: FewDigits,
) -> None:
    context = a_context(digits, Gated)
    smaller = keep_channels(untrained(context), context, share=0.5, worth=equal_worth)
    assert shapes(smaller) == {"both": (8, 1, 5, 5), "free": (4, 4, 3, 3), "head": (10, 4)}


@pytest.mark.parametrize("kind", [ChannelsLast, Tied])
def test_wrong_channels_are_found_out(kind: type[nn.Module], digits: FewDigits) -> None:
    context = a_context(digits, kind)
    with pytest.raises(TrialError, match=r"cannot be removed "):
        keep_channels(untrained(context), context, share=0.5, worth=equal_worth)


class Normalized(nn.Module):
    """A norm over all channels, in which a channel of zeros takes part."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 5, stride=4), nn.GroupNorm(2, 8)
        self.dense, self.layer = nn.Linear(8, 12), nn.LayerNorm(12)
        self.head = nn.Linear(12, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.norm(self.conv(pixels)).relu().mean((2, 3))
        return self.head(self.layer(self.dense(features)).relu())


def test_norms_over_channels_do_not_keep_channels_from_going(digits: FewDigits) -> None:
    context = a_context(digits, Normalized)
    smaller = keep_channels(untrained(context), context, share=0.5, worth=equal_worth)
    assert shapes(smaller) == {"conv": (4, 1, 5, 5), "dense": (6, 4), "head": (10, 6)}
