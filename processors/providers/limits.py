"""Rate limits as providers tell them in headers: OpenAI's names, which most compatible servers use too, and Anthropic's."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from schemas.health import RateLimits

_MOST = 2**53
"""No limit is larger; what claims to be would not fit into a record."""
_LONGEST_S = 32 * 86_400.0
_SPAN = re.compile(
    r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9}(?:\.\d{1,9})?)ms)?"
)
_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


class _Names(NamedTuple):
    limit: str
    remaining: str
    reset: str


_OPENAI = tuple(
    _Names(f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
    for what in ("requests", "tokens")
)
_ANTHROPIC = tuple(
    _Names(f"anthropic-ratelimit-{what}-limit", f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
    for what in ("requests", "tokens")
)


def limits_of(headers: Mapping[str, str], *, now: datetime) -> RateLimits | None:
    """What the headers say; None when they say nothing. What cannot be read counts as not said.

    >>> from datetime import UTC
    >>> said = {"x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "6m0s"}
    >>> found = limits_of(said, now=datetime(2026, 1, 1, tzinfo=UTC))
    >>> found.requests_remaining, found.requests_reset_s, found.tokens_remaining
    (59, 360.0, None)
    """
    for requests, tokens in (_OPENAI, _ANTHROPIC):
        if requests.remaining in headers or tokens.remaining in headers:
            return RateLimits(
                requests_limit=_count(headers.get(requests.limit)),
                requests_remaining=_count(headers.get(requests.remaining)),
                requests_reset_s=_seconds(headers.get(requests.reset), now),
                tokens_limit=_count(headers.get(tokens.limit)),
                tokens_remaining=_count(headers.get(tokens.remaining)),
                tokens_reset_s=_seconds(headers.get(tokens.reset), now),
            )
    return None


def span_s(said: str) -> float | None:
    """Seconds of a span as OpenAI, Groq and others write it, or of a plain number of seconds. None for what is neither.

    >>> [span_s(text) for text in ("6m0s", "1s", "12ms", "1h2m3.5s", "2m59.56s", "7", "0", "", "soon")]
    [360.0, 1.0, 0.012, 3723.5, 179.56, 7.0, 0.0, None, None]
    """
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", said, re.ASCII):
        return float(said)
    found = _SPAN.fullmatch(said)
    if found is None or not said or not said.isascii():
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _SECONDS, strict=True) if part is not None)


def _seconds(said: str | None, now: datetime) -> float | None:
    """A span, or the time until an RFC 3339 date."""
    if said is None:
        return None
    seconds = span_s(said)
    if seconds is None:
        try:
            at = datetime.fromisoformat(said)
        except ValueError:
            return None
        if at.tzinfo is None:
            return None
        seconds = max((at - now).total_seconds(), 0.0)
    return seconds if seconds <= _LONGEST_S else None


def _count(said: str | None) -> int | None:
    """A count; None when there is none, or one that cannot be.

    >>> [_count(text) for text in ("60", "-1", "1e9", "9" * 30, None)]
    [60, None, None, None, None]
    """
    if said is None or not said.isascii() or not said.isdecimal() or len(said) > 16:
        return None
    count = int(said)
    return count if count <= _MOST else None
