"""Judgements of answers in; what the learned policy is fitted on out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from processors.route.quality.outcomes import Outcome
from schemas.feedback import FeedbackGiven

Key = tuple[str, str]
"""Tenant and request_id."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked, as what it was classified, and which deployment its final response names."""

    text: str
    task_kind: str
    deployment: str | None = None


def outcomes(asked: Mapping[Key, Asked], given: Iterable[FeedbackGiven], *, weak: str, strong: str) -> list[Outcome]:
    """One outcome a prompt of which both deployments' answers were judged, each by the mean of its judgements.

    The two may have answered two requests with the same prompt. Judgements without a verdict, of unknown requests and of other
    deployments say nothing here.
    """
    scores: dict[tuple[str, str], dict[str, list[float]]] = {}
    for feedback in given:
        known = asked.get((feedback.tenant, feedback.request_id))
        score = score_of(feedback)
        deployment = feedback.deployment or (known.deployment if known else None)
        if known is None or score is None or not known.text.strip() or deployment not in {weak, strong}:
            continue
        scores.setdefault((known.text, known.task_kind), {}).setdefault(deployment, []).append(score)
    return [
        Outcome(text, kind, weak=_mean(found[weak]), strong=_mean(found[strong]))
        for (text, kind), found in scores.items()
        if weak in found and strong in found
    ]


def score_of(feedback: FeedbackGiven) -> float | None:
    """0 (wrong) to 1 (right); None when it says neither.

    >>> from datetime import datetime
    >>> score_of(FeedbackGiven("r", "t", "user", datetime(2026, 1, 1), correct=True))
    1.0
    """
    if feedback.score is not None:
        return min(max(feedback.score, 0.0), 1.0) if isfinite(feedback.score) else None
    return None if feedback.correct is None else float(feedback.correct)


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores)
