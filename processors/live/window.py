"""Counts by second over the last minutes. Pure; its size follows from the seconds it covers, not from the number of requests."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from processors.health.recent import RATIO

WINDOW_S = 300
MINUTE_S = 60


class Mark(NamedTuple):
    """What one answer counts as. `bucket` is that of its latency, None for a request that failed."""

    tenant: str
    second: int
    bucket: int | None
    asked: bool
    cached: bool


@dataclass(slots=True)
class Second:
    """What came about in one second."""

    answered: int = 0
    failed: int = 0
    asked: int = 0
    cached: int = 0
    cost_nanousd: int = 0
    buckets: Counter[int] = field(default_factory=Counter)


_NOTHING = Second()


@dataclass(slots=True)
class Window:
    """The last `WINDOW_S` whole seconds, and the one that has begun, which is not told yet."""

    seconds: dict[int, Second] = field(default_factory=dict)
    _changed: float = math.inf
    """The earliest second that has changed since `told_to`, where that is behind it."""
    _told_to: int = 0

    def count(self, mark: Mark) -> None:
        second = self._at(mark.second)
        second.answered += 1
        second.asked += mark.asked
        second.cached += mark.cached
        if mark.bucket is None:
            second.failed += 1
        else:
            second.buckets[mark.bucket] += 1

    def pay(self, at_s: int, nanousd: int) -> None:
        self._at(at_s).cost_nanousd += nanousd

    def forget_before(self, oldest_s: int) -> None:
        for second in [second for second in self.seconds if second < oldest_s]:
            del self.seconds[second]

    def whole(self, now_s: int) -> dict[str, Any]:
        """All seconds of the window."""
        return self._series(now_s - WINDOW_S, now_s - 1)

    def changed(self, now_s: int) -> dict[str, Any]:
        """The seconds that are over since this was asked last, and from the earliest on that has changed since."""
        first = max(min(self._changed, self._told_to + 1, now_s), now_s - WINDOW_S)
        self._changed, self._told_to = math.inf, now_s - 1
        return self._series(int(first), now_s - 1)

    def minute(self, now_s: int) -> dict[str, Any]:
        """The sums of the last whole minute."""
        found = [second for at_s in range(now_s - MINUTE_S, now_s) if (second := self.seconds.get(at_s)) is not None]
        answered = sum(second.answered for second in found)
        buckets: Counter[int] = Counter()
        for second in found:
            buckets.update(second.buckets)
        p50_ms, p95_ms, p99_ms = quantiles_ms(buckets, 0.5, 0.95, 0.99)
        return {
            "answered": answered,
            "failed": sum(second.failed for second in found),
            "requests_per_s": round(answered / MINUTE_S, 3),
            "p50_ms": p50_ms,
            "p95_ms": p95_ms,
            "p99_ms": p99_ms,
            "cache_asked": sum(second.asked for second in found),
            "cache_served": sum(second.cached for second in found),
            "cost_nanousd": sum(second.cost_nanousd for second in found),
        }

    def _at(self, at_s: int) -> Second:
        self._changed = min(self._changed, at_s)
        if (second := self.seconds.get(at_s)) is None:
            second = self.seconds[at_s] = Second()
        return second

    def _series(self, first: int, last: int) -> dict[str, Any]:
        found = [self.seconds.get(at_s, _NOTHING) for at_s in range(first, last + 1)]
        latencies = [quantiles_ms(second.buckets, 0.5, 0.95) for second in found]
        return {
            "from_s": first,
            "answered": [second.answered for second in found],
            "failed": [second.failed for second in found],
            "cached": [second.cached for second in found],
            "cost_nanousd": [second.cost_nanousd for second in found],
            "p50_ms": [p50_ms for p50_ms, _ in latencies],
            "p95_ms": [p95_ms for _, p95_ms in latencies],
        }


def quantiles_ms(buckets: Counter[int], *quantiles: float) -> list[float | None]:
    """The latencies below which these shares lie, off by 5 % at most; None without any.

    >>> quantiles_ms(Counter({48: 99, 60: 1}), 0.5, 0.995)
    [101.8, 319.3]
    """
    if not buckets:
        return [None] * len(quantiles)
    order = sorted(buckets)
    sums = list(accumulate(buckets[bucket] for bucket in order))
    return [_middle_ms(order[bisect_left(sums, sums[-1] * quantile)]) for quantile in quantiles]


def _middle_ms(bucket: int) -> float:
    return round(float(RATIO ** (bucket + 0.5)), 1)


def counted(marks: Iterable[Mark], tenant: str | None) -> Window:
    """The window of a tenant's marks; None: of everybody's."""
    window = Window()
    for mark in marks:
        if tenant is None or mark.tenant == tenant:
            window.count(mark)
    return window
