"""What each worker last said about its calls in flight, and about the limits of the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.health import RateLimits

FORGOTTEN_AFTER = timedelta(minutes=2)
"""A worker that ended no call for so long, while others did, has none in flight: most calls are shorter."""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
LIMITS_LAST = timedelta(minutes=1)
"""For limits without a time at which they are full again: the windows of most providers are a minute."""


@dataclass(frozen=True, slots=True)
class Word:
    """`in_flight` are the calls that went on when one had ended, at `at`."""

    in_flight: int
    at: datetime


Words = Mapping[str, Word]


def heard(words: Words, worker: str, word: Word) -> Words:
    """The newest word of every worker, without those that have been silent for too long."""
    known = words.get(worker)
    if known is not None and known.at > word.at:
        return words
    kept = words if known is not None else {name: w for name, w in words.items() if word.at - w.at <= FORGOTTEN_AFTER}
    return {**kept, worker: word}


def in_flight(words: Words) -> int:
    """The sum over the workers that were heard of lately, as of the newest word. Calls that began since nobody has told.

    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> in_flight({"a": Word(3, noon), "b": Word(2, noon), "gone": Word(9, noon - timedelta(hours=1))})
    5
    """
    every = words.values()
    if len(words) == 1:
        return next(iter(every)).in_flight
    oldest_that_counts = max([word.at for word in every], default=_NEVER) - FORGOTTEN_AFTER
    return sum([word.in_flight for word in every if word.at >= oldest_that_counts])


@dataclass(frozen=True, slots=True)
class Limits:
    """What the provider's headers said at `at`."""

    said: RateLimits
    at: datetime

    def headroom(self, now: datetime) -> float | None:
        """The share of the tighter limit that is left, from 0 to 1; None when nothing is known of it any more."""
        said = self.said
        shares = (
            self._left(said.requests_limit, said.requests_remaining, said.requests_reset_s, now),
            self._left(said.tokens_limit, said.tokens_remaining, said.tokens_reset_s, now),
        )
        return min((share for share in shares if share is not None), default=None)

    def _left(self, limit: int | None, remaining: int | None, reset_s: float | None, now: datetime) -> float | None:
        if not limit or limit < 0 or remaining is None:
            return None
        passed = now - self.at
        if reset_s is None:
            return None if passed >= LIMITS_LAST else _share(remaining, limit)
        return 1.0 if passed.total_seconds() >= reset_s else _share(remaining, limit)


def _share(remaining: int, limit: int) -> float:
    return min(max(remaining / limit, 0.0), 1.0)
