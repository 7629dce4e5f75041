"""When the next decision is due."""

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count

from processors.dispatch.decision import Timer
from processors.dispatch.events import CallDue, RequestDue


class Timers:
    """Due events in the order of their time; of one time, in the order they were set.

    A timer is never cancelled: what it finds when it fires decides.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, RequestDue | CallDue]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    def set_all(self, timers: Iterable[Timer]) -> None:
        for timer in timers:
            heapq.heappush(self._heap, (timer.due, next(self._order), timer.event))

    def seconds_to_next(self, now: datetime) -> float | None:
        """Seconds until the next timer, 0 when one is due, None when there is none."""
        return max((self._heap[0][0] - now).total_seconds(), 0.0) if self._heap else None

    def due(self, now: datetime, most: int) -> Iterator[RequestDue | CallDue]:
        """Take up to `most` events that are due."""
        for _ in range(most):
            if not self._heap or self._heap[0][0] > now:
                return
            yield heapq.heappop(self._heap)[2]
