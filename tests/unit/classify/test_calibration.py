"""How far the token estimate is off, and the factor that makes a bound of it."""

import random

import pytest

from processors.classify.calibration import ENOUGH, Errors, bounded, calibrate, calibration, fold, merge, report


def folded(pairs: list[tuple[int, int]]) -> Errors:
    errors = Errors()
    for estimate, reported in pairs:
        errors = fold(errors, estimate, reported)
    return errors


def test_percentiles_are_those_of_the_ratios_to_a_hundredth():
    pairs = [(1_000, reported) for reported in range(501, 1_501)]
    found = calibration("p", "m", folded(pairs))
    for percent, exact in ((5, 0.55), (50, 1.0), (95, 1.45), (99, 1.49)):
        assert exact <= found.percentiles[percent] <= exact * 1.012, percent
    assert (found.calls, found.factor) == (1_000, found.percentiles[99])


def test_the_factor_bounds_99_of_100_calls():
    draw = random.Random(3)
    pairs = [(estimate, max(1, round(estimate * draw.lognormvariate(0.1, 0.3)))) for estimate in range(200, 3_200)]
    by = calibration("p", "m", folded(pairs))
    inside = sum(reported <= bounded(estimate, by) for estimate, reported in pairs) / len(pairs)
    assert 0.99 <= inside < 0.996


def test_an_estimate_that_is_a_bound_already_stays():
    by = calibration("p", "m", folded([(100, 60)] * ENOUGH))
    assert (by.factor, bounded(100, by)) == (1.0, 100)
    assert by.percentiles[50] == pytest.approx(0.6, rel=0.011)


def test_too_few_calls_change_no_estimate():
    by = calibration("p", "m", folded([(100, 300)] * (ENOUGH - 1)))
    assert (by.enough, bounded(100, by), bounded(100, None)) == (False, 100, 100)


@pytest.mark.parametrize(("estimate", "reported"), [(0, 5), (5, 0), (-1, 5)], ids=["no-estimate", "no-report", "below-zero"])
def test_a_call_that_says_nothing_changes_nothing(estimate, reported):
    assert fold(Errors(), estimate, reported) == Errors()


def test_the_order_of_the_calls_and_of_the_partitions_does_not_matter():
    pairs = [(100, reported) for reported in range(50, 200, 7)]
    assert folded(pairs) == folded(pairs[::-1]) == merge(folded(pairs[::2]), folded(pairs[1::2]))


def test_models_are_apart_and_reported_in_order():
    calls = [(("openai", "b"), 100, 150)] * ENOUGH + [(("anthropic", "a"), 100, 90)] * 3
    found = calibrate(calls)
    assert list(found) == [("anthropic", "a"), ("openai", "b")]
    lines = report(found.values()).splitlines()
    assert len(lines) == 3
    assert "not used" in lines[1]
    assert lines[2].split()[:3] == ["openai", "b", str(ENOUGH)]


def test_no_call_is_no_calibration():
    with pytest.raises(ValueError, match="no call"):
        calibration("p", "m", Errors())
