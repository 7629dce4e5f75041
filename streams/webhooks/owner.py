"""Tries what waits in one partition of ai.webhook-deliveries. One process at a time owns a partition, and with it its endpoints.

1. A delivery stands in the log, body and all, before it is tried; what came of a try stands there before it counts.
2. Nothing is tried before the partition was read to where it ended when it was assigned: what stands later may have ended it.
3. `watermark` is the first record that is still needed. It is committed, and read from again by whoever owns the partition next.
4. Each endpoint has places of its own, so that one that does not answer holds up no other.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog

from processors.webhooks.standing import Standing, Waiting
from schemas.errors import RecordError
from schemas.webhooks import DeliveryStatus, WebhookDelivery
from streams import clock, metrics
from streams.edge.principal import Refused
from streams.ids import made_at_s
from streams.webhooks.bodies import Bodies
from streams.webhooks.desk import MOST_AT_ONCE, PER_ENDPOINT, PER_FAILING_ENDPOINT, Desk
from streams.webhooks.settling import Settling

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_BLOCKED_S = 0.1
_SOON = timedelta(seconds=5)
_AGAIN_AFTER = timedelta(seconds=5)
_ASK_AGAIN = timedelta(seconds=0.2)
_YOUNG = timedelta(seconds=10)
"""An endpoint that is as young may be known to the process that made it and not yet to this one."""


class Owner:
    """Made when the partition is assigned; `stop` it when it is revoked."""

    def __init__(self, desk: Desk, partition: int) -> None:
        self.partition = partition
        self.caught_up = False
        self._desk = desk
        self._codec = desk.runtime.serde.of(WebhookDelivery)
        self._standing = Standing()
        self._bodies = Bodies(desk.runtime, desk.reading, partition)
        self._settling = Settling(desk, partition)
        self._trying: set[asyncio.Task[None]] = set()
        self._busy: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._closing = False
        self._work = asyncio.create_task(self._run(), name=f"webhooks {partition}")

    def take(self, record: Any) -> None:
        """One record of the partition, aiokafka's."""
        try:
            delivery = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("webhook_delivery_unreadable", **place, error=str(error), next_step="it is passed over")
            return
        waits = delivery.status is DeliveryStatus.WAITING
        if waits and self.caught_up and delivery.not_before is not None and delivery.not_before < clock.now() + _SOON:
            self._bodies.hold(delivery, record.offset)
        self._standing.take(delivery, record.offset)
        self._changed.set()

    def watermark(self, position: int) -> int:
        """The first offset that is still needed, when all before `position` has been taken."""
        needed = self._standing.watermark()
        return position if needed is None else min(needed, position)

    def may_try(self) -> None:
        """All has been taken that stood in the partition when it was assigned."""
        if not self.caught_up:
            self.caught_up = True
            log.info("webhooks_caught_up", partition=self.partition, waiting=len(self._standing))
            self._changed.set()

    def failure(self) -> BaseException | None:
        """What ended it, if anything did."""
        return self._work.exception() if self._work.done() and not self._work.cancelled() else None

    async def stop(self, *, drain_s: float = 0.0) -> None:
        """End. Tries that do not end within `drain_s` are cut off, and made again by the next owner."""
        self._closing = True
        if self._trying and drain_s > 0:
            await asyncio.wait(self._trying, timeout=drain_s)
        tasks = [self._work, *self._trying]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._desk.waiting.pop(self.partition, None)
        metrics.WEBHOOKS_WAITING.set(sum(self._desk.waiting.values()))

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            wait_s = self._begin()
            self._desk.waiting[self.partition] = len(self._standing)
            metrics.WEBHOOKS_WAITING.set(sum(self._desk.waiting.values()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            for task in [task for task in self._trying if task.done()]:
                self._trying.discard(task)
                task.result()

    def _begin(self) -> float:
        """Begin the tries that are due and have a place; the seconds after which to look again."""
        if not (self.caught_up and self._desk.endpoints.caught_up.is_set()) or self._closing:
            return _BLOCKED_S
        now = clock.now()
        for webhook_id in self._standing.due(now):
            while self._has_place(webhook_id) and (waiting := self._standing.pop(webhook_id)) is not None:
                self._busy[webhook_id] = self._busy.get(webhook_id, 0) + 1
                self._desk.under_way += 1
                task = asyncio.create_task(self._try(waiting), name=waiting.message_id)
                self._trying.add(task)
                task.add_done_callback(partial(self._ended, webhook_id))
        if self._desk.under_way >= MOST_AT_ONCE:
            return _BLOCKED_S
        due = self._standing.next_due()
        return _LOOK_EVERY_S if due is None else min(_LOOK_EVERY_S, max(0.0, (due - now).total_seconds()))

    def _has_place(self, webhook_id: str) -> bool:
        own = PER_ENDPOINT if self._standing.failing_since(webhook_id) is None else PER_FAILING_ENDPOINT
        return self._busy.get(webhook_id, 0) < own and self._desk.under_way < MOST_AT_ONCE

    def _ended(self, webhook_id: str, _: "asyncio.Task[None]") -> None:
        self._desk.under_way -= 1
        self._busy[webhook_id] -= 1
        if not self._busy[webhook_id]:
            del self._busy[webhook_id]
        self._changed.set()

    async def _try(self, waiting: Waiting) -> None:
        try:
            delivery = await self._bodies.of(waiting)
        except Refused:
            self._standing.put_back(waiting, clock.now() + _AGAIN_AFTER)
            return
        if delivery is None:
            log.error("webhook_delivery_lost", message_id=waiting.message_id, next_step="see the topic's retention")
            self._standing.drop(waiting)
            return
        endpoint = self._desk.endpoints.get(waiting.webhook_id)
        if endpoint is None and (_is_young(waiting.webhook_id, clock.now()) or not self._desk.endpoints.caught_up.is_set()):
            self._standing.put_back(waiting, clock.now() + _ASK_AGAIN)
            return
        count, since = self._standing.waiting_of(waiting.webhook_id), self._standing.failing_since(waiting.webhook_id)
        await self._settling.settle(delivery, waiting.offset, endpoint, waiting=count, failing_since=since)


def _is_young(webhook_id: str, now: datetime) -> bool:
    made_s = made_at_s(webhook_id)
    return made_s is not None and now.timestamp() - made_s < _YOUNG.total_seconds()
