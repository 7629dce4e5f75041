"""Which judgements make an outcome."""

import math
from datetime import UTC, datetime

import pytest

from processors.route.quality.feedback import Asked, outcomes
from processors.route.quality.outcomes import Outcome
from schemas.feedback import FeedbackGiven

AT = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = {
    ("t", "r1"): Asked("What is 2 + 2?", "math", "weak"),
    ("t", "r2"): Asked("What is 2 + 2?", "math", "strong"),
    ("t", "r3"): Asked("Write a poem", "writing", "weak"),
    ("u", "r1"): Asked("What is 3 + 3?", "math", "other"),
}


def judged(request_id: str, *, tenant: str = "t", **said: object) -> FeedbackGiven:
    return FeedbackGiven(request_id, tenant, "user", AT, **said)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([judged("r1", correct=False), judged("r2", correct=True)], [(0.0, 1.0)], id="two requests, one prompt"),
        pytest.param(
            [judged("r3", correct=False), judged("r3", correct=True, deployment="strong")],
            [(0.0, 1.0)],
            id="one request, both",
        ),
        pytest.param([judged("r1", score=math.nan), judged("r2", correct=True)], [], id="a score that is no number"),
        pytest.param([judged("r1", correct=True)], [], id="one side alone"),
        pytest.param([judged("r1"), judged("r2", correct=True)], [], id="no verdict"),
        pytest.param(
            [judged("r1", correct=True), judged("r1", correct=False), judged("r2", score=0.75)], [(0.5, 0.75)], id="the mean"
        ),
        pytest.param([judged("r1", score=-3.0), judged("r2", score=7.0)], [(0.0, 1.0)], id="bounded"),
        pytest.param([judged("r9", correct=True), judged("r1", tenant="u", correct=True)], [], id="unknown, or of another"),
    ],
)
def test_outcomes(given: list[FeedbackGiven], expected: list[tuple[float, float]]):
    found = outcomes(ASKED, given, weak="weak", strong="strong")
    assert [(row.weak, row.strong) for row in found] == expected
    assert all(isinstance(row, Outcome) and row.topic in {"math", "writing"} for row in found)
