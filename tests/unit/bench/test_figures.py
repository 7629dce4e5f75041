"""A figure says whether it holds; a quantile is one of the samples."""

import pytest

from bench.choices_stages.figures import at_least, at_most, quantile, quantiles


@pytest.mark.parametrize(("value", "holds"), [(49.9, True), (50.0, True), (50.1, False)])
def test_at_most(value: float, holds: bool):
    assert at_most("p99", value, 50.0).holds is holds


@pytest.mark.parametrize(("value", "holds"), [(0.9991, True), (0.999, True), (0.998, False)])
def test_at_least(value: float, holds: bool):
    assert at_least("share", value, 0.999).holds is holds


@pytest.mark.parametrize(
    ("share", "value"),
    [
        pytest.param(0.0, 1, id="the smallest"),
        pytest.param(0.5, 50, id="the median"),
        pytest.param(0.99, 99, id="one of a hundred exceeds it"),
        pytest.param(1.0, 100, id="the largest"),
    ],
)
def test_a_quantile_is_exceeded_by_no_more_than_the_rest(share: float, value: int):
    assert quantile(list(range(100, 0, -1)), share) == value


def test_samples_stand_once():
    first, second = quantiles("ms", [1.0, 2.0], 0.5, 1.0)
    assert (first.name, first.samples, second.name, second.samples) == ("ms_p50", (1.0, 2.0), "ms_p100", ())
