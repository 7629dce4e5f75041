"""How often the answers of a model were judged right within the last day: a fold of judgements, by the hour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

from processors.route.quality.feedback import score_of
from schemas.feedback import FeedbackGiven
from schemas.ledger import CostEvent, CostKind, PricingStatus

DAY = timedelta(days=1)
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Judged:
    """`score` is the sum of what so many judgements gave, each from 0 (wrong) to 1 (right)."""

    count: int
    score: float


Hours = Mapping[int, Judged]
"""By the hour, counted from 1970."""

NOTHING: Hours = {}


def verdict(feedback: FeedbackGiven) -> float | None:
    """0 (wrong) to 1 (right); None for a judgement that says neither."""
    if feedback.score is not None and not isfinite(feedback.score):
        return None
    return score_of(feedback)


def fold(hours: Hours, score: float, at: datetime, *, now: datetime) -> Hours:
    """The hours with one judgement more, and none from before the last day. One from a clock that is ahead counts as of now."""
    hour = _hour_of(min(at, now))
    known = hours.get(hour, Judged(0, 0.0))
    return _lately({**hours, hour: Judged(known.count + 1, known.score + score)}, now)


def accuracy(hours: Hours, *, now: datetime) -> float | None:
    """The share of the last day's judged answers that were right; None when none was judged."""
    judged = _lately(hours, now).values()
    count = sum(each.count for each in judged)
    return sum(each.score for each in judged) / count if count else None


def answered_by(event: CostEvent) -> str | None:
    """The model whose answer its request was given, if this line of the ledger is that of the answer; None for another line."""
    if event.kind is CostKind.CACHE_HIT:
        return event.model
    failed = event.wasted or event.pricing_status is PricingStatus.NOT_BILLED
    return event.model if event.kind is CostKind.CALL and not failed else None


def _lately(hours: Hours, now: datetime) -> dict[int, Judged]:
    oldest = _hour_of(now - DAY)
    return {hour: judged for hour, judged in hours.items() if hour > oldest}


def _hour_of(at: datetime) -> int:
    return int(at.timestamp()) // _HOUR_S
