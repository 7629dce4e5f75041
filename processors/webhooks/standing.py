"""Which deliveries wait, for when, and what their endpoints have been like: a fold of one partition of ai.webhook-deliveries.

It holds no body: a delivery that waits takes a few hundred bytes, wherever its body is.
"""

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import datetime

from processors.webhooks.messages import TEST
from schemas.webhooks import DeliveryStatus, WebhookDelivery

_FINISHED = 50_000
"""Ended deliveries that are remembered: a response that is read again is not sent again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One delivery that waits. Its record, body and all, stands at `offset`."""

    message_id: str
    webhook_id: str
    attempt: int
    due: datetime
    offset: int


class Standing:
    """`take` is told every record of the partition in order; `due` and `pop` say what is to be tried."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._of: dict[str, int] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._failing: dict[str, datetime] = {}
        self._due: list[tuple[datetime, int, str]] = []
        self._offsets: list[tuple[int, str]] = []
        self._ready: dict[str, deque[str]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting_of(self, webhook_id: str) -> int:
        """How many deliveries of an endpoint wait."""
        return self._of.get(webhook_id, 0)

    def failing_since(self, webhook_id: str) -> datetime | None:
        """Since when an endpoint fails; None while it answers, and when nothing is known of it."""
        return self._failing.get(webhook_id)

    def take(self, record: WebhookDelivery, offset: int) -> None:
        """One record of the log. One that says nothing new is passed over."""
        if record.event != TEST and record.attempt > 0:
            self._judge(record)
        known = self._waiting.get(record.message_id)
        if record.status is not DeliveryStatus.WAITING:
            self._forget(record.message_id)
            self._finished[record.message_id] = None
            if len(self._finished) > _FINISHED:
                self._finished.popitem(last=False)
        elif record.message_id not in self._finished and (known is None or record.attempt > known.attempt):
            if known is None:
                self._of[record.webhook_id] = self.waiting_of(record.webhook_id) + 1
            due = record.not_before or record.at
            self._waiting[record.message_id] = Waiting(record.message_id, record.webhook_id, record.attempt, due, offset)
            heapq.heappush(self._due, (due, offset, record.message_id))
            heapq.heappush(self._offsets, (offset, record.message_id))

    def put_back(self, waiting: Waiting, due: datetime) -> None:
        """It could not be tried, and is again from then on."""
        if (known := self._waiting.get(waiting.message_id)) is not None and known.offset == waiting.offset:
            heapq.heappush(self._due, (due, known.offset, known.message_id))

    def drop(self, waiting: Waiting) -> None:
        """It cannot be tried any more."""
        self._forget(waiting.message_id)

    def due(self, now: datetime) -> list[str]:
        """The endpoints of which deliveries are due; `pop` gives them out."""
        while self._due and self._due[0][0] <= now:
            _, offset, message_id = heapq.heappop(self._due)
            known = self._waiting.get(message_id)
            if known is not None and known.offset == offset:
                self._ready.setdefault(known.webhook_id, deque()).append(message_id)
        return list(self._ready)

    def pop(self, webhook_id: str) -> Waiting | None:
        """The next delivery of an endpoint that is due; None when there is none. It is not given out twice."""
        queue = self._ready.get(webhook_id)
        while queue:
            if (known := self._waiting.get(queue.popleft())) is not None:
                return known
        self._ready.pop(webhook_id, None)
        return None

    def next_due(self) -> datetime | None:
        """When the next delivery comes due that is not due yet."""
        return self._due[0][0] if self._due else None

    def watermark(self) -> int | None:
        """The offset of the first record that is still needed; None when nothing waits."""
        while self._offsets:
            offset, message_id = self._offsets[0]
            if (known := self._waiting.get(message_id)) is not None and known.offset == offset:
                return offset
            heapq.heappop(self._offsets)
        return None

    def _forget(self, message_id: str) -> None:
        if (known := self._waiting.pop(message_id, None)) is not None:
            left = self._of[known.webhook_id] - 1
            if left:
                self._of[known.webhook_id] = left
            else:
                del self._of[known.webhook_id]

    def _judge(self, record: WebhookDelivery) -> None:
        if record.status is DeliveryStatus.DELIVERED:
            self._failing.pop(record.webhook_id, None)
        elif record.failing_since is not None:
            self._failing[record.webhook_id] = record.failing_since


def further(one: WebhookDelivery, other: WebhookDelivery) -> WebhookDelivery:
    """Which of two records of a message says how it stands: the one after more tries, and of those the one that ended it.

    The last record need not: a response that is read again makes the same delivery again, as if it had not been tried.
    """
    return max(one, other, key=lambda each: (each.attempt, each.status is not DeliveryStatus.WAITING, each.at))
