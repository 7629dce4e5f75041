"""The last minutes of a deployment's calls: how many succeeded, how long they took. Older calls count for less and less.

Every call weighs one in its minute and half as much with each minute that follows, so what is kept does not depend on the
order in which events of several workers arrive. Latencies are counted in buckets that grow by a tenth: a quantile is off by 5 %
at most, from one millisecond to a quarter of an hour.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

RATIO = 1.1
BUCKETS = 144
FORGOTTEN_AFTER = 20
"""Minutes after which a call weighs a millionth, and is left out."""

_LOG_RATIO = math.log(RATIO)
_EMPTY = (0.0,) * BUCKETS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Recent:
    """`succeeded` and `failed` are weights, as of `minute`, which is counted from 1970; `buckets` are those of the latencies."""

    minute: int = 0
    succeeded: float = 0.0
    failed: float = 0.0
    buckets: tuple[float, ...] = _EMPTY

    def calls(self, now: datetime) -> float:
        """What the calls weigh now: of calls at a steady pace, about those of the last two minutes."""
        return float((self.succeeded + self.failed) * _fade(minute_of(now) - self.minute))

    @property
    def success_rate(self) -> float | None:
        """The share that succeeded; None without calls."""
        calls = self.succeeded + self.failed
        return self.succeeded / calls if calls else None

    @property
    def failure_rate(self) -> float | None:
        """The share that failed; None without calls."""
        calls = self.succeeded + self.failed
        return self.failed / calls if calls else None

    def quantile_ms(self, *quantiles: float) -> tuple[float | None, ...]:
        """The latencies below which these shares of the calls lie; None without calls."""
        sums = tuple(accumulate(self.buckets))
        if not sums[-1]:
            return (None,) * len(quantiles)
        return tuple(RATIO ** (bisect_left(sums, sums[-1] * q) + 0.5) for q in quantiles)


NOTHING = Recent()


def minute_of(at: datetime) -> int:
    return (at - _EPOCH) // _MINUTE


def bucket_of(latency_ms: float) -> int:
    """The bucket of a latency.

    >>> bucket_of(0), bucket_of(1), bucket_of(100), bucket_of(1e12)
    (0, 0, 48, 143)
    """
    return 0 if latency_ms <= 1 else min(int(math.log(latency_ms) / _LOG_RATIO), BUCKETS - 1)


def counted(recent: Recent, minute: int, *, succeeded: bool, latency_ms: float | None) -> Recent:
    """With one call more, of `minute`; `latency_ms` None where how long it took tells nothing."""
    weight = 1.0
    if (later := minute - recent.minute) > 0:
        recent = _faded(recent, minute, later)
    elif later:
        weight = _fade(-later)
    buckets = recent.buckets
    if latency_ms is not None:
        at = bucket_of(latency_ms)
        buckets = buckets[:at] + (buckets[at] + weight,) + buckets[at + 1 :]  # noqa: RUF005 - half the time
    return Recent(
        recent.minute,
        recent.succeeded + (weight if succeeded else 0.0),
        recent.failed + (0.0 if succeeded else weight),
        buckets,
    )


def _faded(recent: Recent, minute: int, later: int) -> Recent:
    weight = _fade(later)
    if not weight:
        return Recent(minute)
    return Recent(minute, recent.succeeded * weight, recent.failed * weight, tuple(b * weight for b in recent.buckets))


def _fade(minutes: int) -> float:
    return 0.5 ** max(minutes, 0) if minutes < FORGOTTEN_AFTER else 0.0
