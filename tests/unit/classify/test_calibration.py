"""How far the token estimate is off, and the factor that makes a bound of it."""

import random
from dataclasses import replace

import pytest

from processors.classify.calibration import (
    ENOUGH,
    LATELY,
    Calibration,
    Errors,
    bounded,
    calibration,
    calibrations,
    fold,
    learn,
    merge,
    settled,
    told,
)
from schemas.calls import Usage, UsageSource
from schemas.ledger import CostEvent, CostKind
from tests.contract.records import EXAMPLES

GPT, CLAUDE = ("openai", "gpt"), ("anthropic", "claude")
COUNTED = replace(EXAMPLES["CostEvent"], provider="openai", model="gpt", usage=Usage(130, 7), input_tokens_estimate=100)


def folded(pairs: list[tuple[int, int]]) -> Errors:
    errors = Errors()
    for estimate, reported in pairs:
        errors = fold(errors, estimate, reported)
    return errors


def factor(by: float, *, calls: int = ENOUGH) -> Calibration:
    return Calibration(*GPT, calls, {}, by)


def test_percentiles_are_those_of_the_ratios_to_a_hundredth():
    pairs = [(1_000, reported) for reported in range(501, 1_501)]
    found = calibration("p", "m", folded(pairs))
    for percent, exact in ((5, 0.55), (50, 1.0), (95, 1.45), (99, 1.49)):
        assert exact <= found.percentiles[percent] <= exact * 1.012, percent
    assert (found.calls, found.factor) == (1_000, found.percentiles[99])


def test_the_factor_bounds_99_of_100_calls():
    draw = random.Random(3)
    pairs = [(estimate, max(1, round(estimate * draw.lognormvariate(0.1, 0.3)))) for estimate in range(200, 3_200)]
    by = calibration("p", "m", folded(pairs)).factor
    inside = sum(reported <= bounded(estimate, by) for estimate, reported in pairs) / len(pairs)
    assert 0.99 <= inside < 0.996


def test_an_estimate_that_is_a_bound_already_stays():
    by = calibration("p", "m", folded([(100, 60)] * ENOUGH))
    assert (by.factor, bounded(100, by.factor), bounded(100, 0.5)) == (1.0, 100, 100)
    assert by.percentiles[50] == pytest.approx(0.6, rel=0.011)


@pytest.mark.parametrize(("estimate", "reported"), [(0, 5), (5, 0), (-1, 5)], ids=["no-estimate", "no-report", "below-zero"])
def test_a_call_that_says_nothing_changes_nothing(estimate, reported):
    assert fold(Errors(), estimate, reported) == Errors()
    assert learn({}, [(GPT, estimate, reported)]) == {}


def test_the_order_of_the_calls_and_of_the_partitions_does_not_matter():
    pairs = [(100, reported) for reported in range(50, 200, 7)]
    assert folded(pairs) == folded(pairs[::-1]) == merge(folded(pairs[::2]), folded(pairs[1::2]))
    calls = [(GPT, *pair) for pair in pairs]
    assert learn(learn({}, calls[::2]), calls[1::2]) == learn({}, calls) == {GPT: folded(pairs)}


def test_models_are_apart_and_in_order():
    found = calibrations(learn({}, [(GPT, 100, 150)] * ENOUGH + [(CLAUDE, 100, 90)] * 3))
    assert list(found) == [CLAUDE, GPT]
    assert [(by.calls, by.enough) for by in found.values()] == [(3, False), (ENOUGH, True)]


def test_no_call_is_no_calibration():
    with pytest.raises(ValueError, match="no call"):
        calibration("p", "m", Errors())


def test_what_a_model_does_now_outweighs_what_it_did_long_ago():
    known = learn({}, [(GPT, 100, 200)] * LATELY)
    for _ in range(10):
        known = learn(known, [(GPT, 100, 120)] * (LATELY // 2))
    now = calibrations(known)[GPT]
    assert now.calls <= LATELY
    assert now.factor == pytest.approx(1.2, rel=0.011)


@pytest.mark.parametrize(
    ("standing", "found", "wanted"),
    [
        ({}, factor(1.5), {GPT: 1.5}),
        ({}, factor(1.5, calls=ENOUGH - 1), {}),
        ({}, factor(1.005), {}),
        ({GPT: 1.5}, factor(1.514), {GPT: 1.5}),
        ({GPT: 1.5}, factor(1.486), {GPT: 1.5}),
        ({GPT: 1.5}, factor(1.54), {GPT: 1.54}),
        ({GPT: 1.5}, factor(1.2), {GPT: 1.2}),
        ({GPT: 1.5}, factor(1.0), {}),
    ],
    ids=["first", "too-few", "hardly-off", "a-percent-up", "a-percent-down", "more", "less", "a-bound-already"],
)
def test_a_factor_moves_when_it_is_off_by_more_than_a_percent(standing, found, wanted):
    assert settled(standing, {GPT: found}) == wanted


def test_a_factor_at_the_edge_of_a_bucket_does_not_flap():
    known, standing, moved = {}, {}, []
    draw = random.Random(5)
    for _ in range(60):
        known = learn(known, [(GPT, 1_000, round(1_300 * draw.uniform(0.9, 1.0))) for _ in range(20)])
        after = settled(standing, calibrations(known))
        moved.append(after != standing)
        standing = after
    assert sum(moved) == 1
    assert standing[GPT] == pytest.approx(1.3, rel=0.02)


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (COUNTED, (GPT, 100, 130)),
        (replace(COUNTED, input_tokens_estimate=None), None),
        (replace(COUNTED, input_tokens_estimate=0), None),
        (replace(COUNTED, usage=None), None),
        (replace(COUNTED, usage=Usage(0, 7)), None),
        (replace(COUNTED, usage=Usage(130, 7, source=UsageSource.ESTIMATED)), None),
        (replace(COUNTED, usage=Usage(130, 7, clamped=True)), None),
        (replace(COUNTED, kind=CostKind.CACHE_HIT), None),
        (replace(COUNTED, kind=CostKind.ADJUSTED), None),
    ],
    ids=["counted", "unknown", "nothing", "no-usage", "no-input", "estimated", "clamped", "cache-hit", "adjusted"],
)
def test_only_what_the_provider_counted_tells(event: CostEvent, wanted):
    assert told(event) == wanted
