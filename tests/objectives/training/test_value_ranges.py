import pytest
import torch
from torch import Tensor, nn

from objectives.errors import MeasurementError
from objectives.network.values import Values
from objectives.training.fake_quantize import asymmetric_range, fake_quantize
from objectives.training.value_ranges import Range, RangeRule, value_ranges


def input_range(inputs: Tensor, rule: RangeRule = "percentile") -> Range:
    values = Values(calls={"x": ("input",)}, shapes={})
    return value_ranges(nn.Identity(), values, ["x"], inputs, rule)["x"]


@pytest.mark.parametrize(
    ("rule", "least", "most"), [("extremes", 0.01, 300.0), ("percentile", 0.03, 1.99)]
)
def test_one_outlier_decides_no_percentile(rule: RangeRule, least: float, most: float) -> None:
    """100 inputs whose largest number is 0.01 x 1 ... 0.01 x 200, and one of 300."""
    inputs = torch.linspace(0.01, 2, 200)[:, None].repeat(1, 3)
    inputs[17, 1] = 300
    low, high = input_range(inputs, rule)
    assert (float(low), float(high)) == (pytest.approx(least), pytest.approx(most))


def test_the_range_of_the_least_error_has_none_that_is_less() -> None:
    """100,000 numbers in [0, 1], and one of 1.5."""
    values = torch.linspace(0, 1, 100_000)
    values[17] = 1.5
    found = {rule: input_range(values.view(-1, 4), rule) for rule in ("extremes", "least_error")}

    def error(low: Tensor, high: Tensor) -> float:
        scale, zero = asymmetric_range(low, high)
        return float((fake_quantize(values, scale, zero, 0, 255) - values).square().mean())

    assert error(*found["least_error"]) < 0.9 * error(*found["extremes"])


def test_of_few_inputs_none_is_left_out() -> None:
    low, high = input_range(torch.arange(19.0)[:, None])
    assert (float(low), float(high)) == (0, 18)


def test_a_value_between_layers_is_looked_at_where_it_is_computed() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    values = Values(calls={"relu": ("1>relu:0",)}, shapes={})
    inputs = torch.randn(19, 2, generator=torch.Generator().manual_seed(0))
    low, high = value_ranges(network, values, ["relu"], inputs)["relu"]
    with torch.no_grad():
        expected = network(inputs)
    assert (low, high) == (expected.min(), expected.max())


def test_a_value_that_no_input_reaches_is_refused_in_a_line() -> None:
    """As of an expert that nothing goes to."""
    values = Values(calls={"x": ("0>relu:0",)}, shapes={})
    with pytest.raises(MeasurementError, match="None of 4 training inputs reaches 'x'"):
        value_ranges(nn.Sequential(nn.Identity()), values, ["x"], torch.ones(4, 1))
