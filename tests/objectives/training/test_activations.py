"""Ranges follow what is trained, for half of the steps, and nothing that is only evaluated."""

from dataclasses import replace

import pytest
import torch
from toys import toy_plan

from objectives.context import Context
from objectives.network.state import NetworkState
from objectives.training.activations import RENEWED, GroupQuantizer
from objectives.training.fake_quantize import fake_quantize


def a_group() -> GroupQuantizer:
    zero, one, two = (torch.tensor(float(number)) for number in range(3))
    return GroupQuantizer({"a": (zero, one), "b": (-one, two)})


def test_a_group_has_the_range_of_all_its_values() -> None:
    group = a_group()
    assert float(group.format.scale) == pytest.approx(3 / 255)
    assert int(group.format.zero_point) == 85
    x = torch.linspace(-3, 3, 50).view(5, 10)
    expected = fake_quantize(x, group.format.scale, group.format.zero_point, 0, 255)
    assert torch.equal(group("a", x), expected)
    assert torch.equal(group("b", x), expected)


def test_each_batch_renews_a_share_of_the_range_while_it_follows() -> None:
    group = a_group()
    batch = torch.tensor([[-2.0, 12.0], [0.0, 4.0]])
    group("b", batch)
    assert float(group.format.scale) == pytest.approx(3 / 255)
    group.follows = True
    group("b", batch)
    low, high = -1 - RENEWED * (2 - 1), 2 + RENEWED * (12 - 2)
    assert float(group.format.scale) == pytest.approx((high - low) / 255)


def test_an_outlier_is_no_part_of_a_batch() -> None:
    group = GroupQuantizer({"a": (torch.tensor(0.0), torch.tensor(1.0))})
    group.follows = True
    batch = torch.ones(40, 3)
    batch[7, 1] = 1e6
    group("a", batch)
    assert float(group.format.scale) == pytest.approx(1 / 255)


def test_what_is_never_negative_keeps_zero_for_the_integer_zero() -> None:
    group = GroupQuantizer({"a": (torch.tensor(0.0), torch.tensor(1.0))})
    group.follows = True
    group("a", torch.tensor([[-5.0, 1.0]]))
    assert int(group.format.zero_point) == 0


def test_ranges_follow_the_first_half_of_a_training(
    baseline: NetworkState, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two epochs of four batches: four times for each of two values, and not when evaluated."""
    followed: list[str] = []
    follow = GroupQuantizer._follow

    def counted(group: GroupQuantizer, place: int, values: torch.Tensor) -> None:
        followed.extend(group.names)
        follow(group, place, values)

    monkeypatch.setattr(GroupQuantizer, "_follow", counted)
    watched = replace(context, after_epoch=lambda *_: None)  # evaluates after each epoch
    toy_plan(0.0, 8, qat_epochs=2).get("quantize").apply(baseline, watched)
    steps = watched.data.steps_per_epoch(128)
    assert followed == ["input", "view"] * steps
