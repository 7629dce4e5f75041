"""The share of the last day's judged answers that were right, and which line of the ledger names who answered."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from processors.health.accuracy import NOTHING, Hours, accuracy, answered_by, fold, verdict
from schemas.feedback import FeedbackGiven
from schemas.ledger import CostEvent, CostKind, PricingStatus
from tests.contract.records import EXAMPLES

NOW = datetime(2026, 6, 2, 12, 30, tzinfo=UTC)
LINE = replace(EXAMPLES["CostEvent"], kind=CostKind.CALL, model="m", wasted=False, pricing_status=PricingStatus.PRICED)


def judged(*scores: tuple[float, float]) -> Hours:
    """Each a score, and how many hours ago it was given."""
    hours = NOTHING
    for score, hours_ago in scores:
        hours = fold(hours, score, NOW - timedelta(hours=hours_ago), now=NOW)
    return hours


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        ([], None),
        ([(1.0, 0), (0.0, 0)], 0.5),
        ([(1.0, 0), (0.5, 3), (0.0, 22)], 0.5),
        ([(1.0, 0), (0.0, 25)], 1.0),
        ([(1.0, -5), (0.0, 0)], 0.5),
        ([(0.0, 30)], None),
    ],
    ids=["none", "one-hour", "several-hours", "long-ago", "clock-ahead", "only-long-ago"],
)
def test_the_share_of_the_last_day(scores, share):
    assert accuracy(judged(*scores), now=NOW) == share


def test_what_was_judged_is_forgotten_after_a_day_though_nothing_is_judged_anew():
    hours = judged((1.0, 0))
    assert accuracy(hours, now=NOW + timedelta(hours=23)) == 1.0
    assert accuracy(hours, now=NOW + timedelta(hours=25)) is None


def test_no_more_is_held_than_a_day_and_the_order_does_not_matter():
    scores = [(float(n % 2), n / 4) for n in range(400)]
    assert len(judged(*scores)) == 24
    assert accuracy(judged(*scores), now=NOW) == accuracy(judged(*scores[::-1]), now=NOW)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"correct": True}, 1.0),
        ({"correct": False}, 0.0),
        ({"score": 0.25}, 0.25),
        ({"score": 7.0}, 1.0),
        ({}, None),
        ({"score": math.nan}, None),
        ({"score": math.inf}, None),
    ],
    ids=["right", "wrong", "score", "beyond-one", "neither", "nan", "infinite"],
)
def test_the_verdict_of_a_judgement(said, wanted):
    assert verdict(FeedbackGiven("r", "t", "user", NOW, **said)) == wanted


@pytest.mark.parametrize(
    ("line", "model"),
    [
        (LINE, "m"),
        (replace(LINE, pricing_status=PricingStatus.UNKNOWN, cost_nanousd=None), "m"),
        (replace(LINE, kind=CostKind.CACHE_HIT, pricing_status=PricingStatus.NOT_BILLED), "m"),
        (replace(LINE, wasted=True), None),
        (replace(LINE, pricing_status=PricingStatus.NOT_BILLED), None),
        (replace(LINE, kind=CostKind.ADJUSTED), None),
    ],
    ids=["answered", "unpriced", "from-the-cache", "wasted", "failed", "adjusted"],
)
def test_who_answered(line: CostEvent, model: str | None):
    assert answered_by(line) == model
