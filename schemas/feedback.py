"""Judgements of answers: FeedbackGiven."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """A judgement of an answer, by a person or a program. `deployment` None: the one that the final response names."""

    request_id: str
    tenant: str
    source: str
    given_at: datetime
    correct: bool | None = None
    score: float | None = None
    deployment: str | None = None
