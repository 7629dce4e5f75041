"""One stay in the consumer group of `webhooks`: responses become deliveries, which the owner of their partition tries.

What is committed: of responses, what stands in ai.webhook-deliveries; of deliveries, the first record that is still needed.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition

from streams import topics
from streams.group_consumer import group_consumer
from streams.leaving import leave
from streams.newcomers import Newcomers
from streams.webhooks.arrivals import Arrivals
from streams.webhooks.desk import Desk
from streams.webhooks.owner import Owner

log = structlog.get_logger(__name__)

_POLL_MS = 500
_MOST_RECORDS = 500
_COMMIT_EVERY_S = 1.0
_ANSWERED_WITHIN_S = 5.0
_BEFORE = timedelta(seconds=60)
"""So long before the oldest endpoint the responses are read that nobody of the group has read yet."""


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """Use once: `run`."""

    def __init__(self, desk: Desk) -> None:
        runtime = desk.runtime
        self._desk = desk
        self._arrivals = Arrivals(runtime, desk.endpoints)
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self._consumer: Any = group_consumer(
            runtime,
            "webhooks",
            client_id=f"{runtime.settings.app}-webhooks",
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        self._owners: dict[TopicPartition, Owner] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._fresh: set[TopicPartition] = set()
        self._reading: set[TopicPartition] = set()
        self._reached: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._assigned = asyncio.Event()

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Until `stop`. Raises KafkaError when the membership cannot go on, and what ended an owner."""
        await self._consumer.start()
        self._consumer.subscribe([topics.RESPONSES, topics.WEBHOOK_DELIVERIES], listener=self)
        working = asyncio.create_task(self._work(ready), name="webhooks")
        told = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            working.cancel()
            await self._stop_owners(drain_s=self._desk.runtime.settings.drain_timeout_s)
            await self._commit()
        finally:
            for task in (working, told):
                task.cancel()
            await asyncio.gather(working, told, return_exceptions=True)
            await self._stop_owners()
            await leave(self._consumer)

    async def _work(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        commit_at, said = loop.time() + _COMMIT_EVERY_S, False
        while True:
            await self._step()
            if self._assigned.is_set() and not said:
                said = True
                ready()
            if loop.time() >= commit_at:
                await self._note_reached()
                await self._commit()
                commit_at = loop.time() + _COMMIT_EVERY_S

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all end at every rebalance
        """End every owner; what it had under way is tried again by the next."""
        await self._stop_owners()
        for known in (self._owners, self._fresh, self._reading, self._reached, self._committed, self._ends):
            known.clear()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        held = sorted(assigned)
        log.info("webhooks_assigned", partitions=[f"{tp.topic}-{tp.partition}" for tp in held])
        for tp in held:
            if tp.topic == topics.WEBHOOK_DELIVERIES:
                self._owners[tp] = Owner(self._desk, tp.partition)
        self._fresh = set(held)
        # From where the responses are to be read may have to be looked up first.
        self._consumer.pause(*(tp for tp in held if tp.topic == topics.RESPONSES))
        self._assigned.set()

    async def _step(self) -> None:
        if self._fresh:
            await self._begin(tuple(self._fresh))
        fetched: Mapping[TopicPartition, list[Any]] = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
        for tp, records in fetched.items():
            if (owner := self._owners.get(tp)) is not None:
                await self._newcomers.meet(record.value for record in records)
                for record in records:
                    owner.take(record)
            elif tp in self._reading:
                await self._arrivals.hand_on(records)
        for tp, owner in list(self._owners.items()):
            if (failure := owner.failure()) is not None:
                raise failure
            if owner.caught_up or tp not in self._ends:
                continue
            position = await self._position(tp)
            if position is not None and position >= self._ends.get(tp, position + 1):
                owner.may_try()

    async def _begin(self, fresh: tuple[TopicPartition, ...]) -> None:
        """Find out how far the deliveries go, and from where on the responses are to be read."""
        responses = [tp for tp in fresh if tp.topic == topics.RESPONSES]
        ends = await self._consumer.end_offsets([tp for tp in fresh if tp.topic == topics.WEBHOOK_DELIVERIES])
        unread = [tp for tp in responses if await self._consumer.committed(tp) is None]
        starts = await self._first_responses(unread) if unread else {}
        if not set(fresh) <= self._fresh:
            return  # the group has moved on meanwhile
        self._ends |= ends
        for tp, offset in starts.items():
            self._consumer.seek(tp, offset)
        self._reading.update(responses)
        self._consumer.resume(*responses)
        self._fresh.clear()

    async def _first_responses(self, unread: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Where partitions begin that the group has never read: with the oldest endpoint, or at their end."""
        await self._desk.endpoints.caught_up.wait()
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(unread)
        made = [endpoint.created_at for endpoint in self._desk.endpoints.all()]
        if not made:
            return ends
        since_ms = int((min(made) - _BEFORE).timestamp() * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(unread, since_ms))
        return {tp: ends[tp] if found.get(tp) is None else found[tp].offset for tp in unread}

    async def _note_reached(self) -> None:
        """How far all has been taken in: nothing that was fetched is in anybody's hands when this is called."""
        for tp in (*self._reading, *self._owners):
            if tp not in self._fresh and (position := await self._position(tp)) is not None:
                self._reached[tp] = position

    async def _position(self, tp: TopicPartition) -> int | None:
        """From where on the partition is fetched next; None when the group has given it to another member meanwhile."""
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN_S):
                return int(await self._consumer.position(tp))
        except (IllegalStateError, TimeoutError):
            return None

    async def _commit(self) -> None:
        """Commit what has changed. That the group has moved on meanwhile is no error: the next owner commits its own."""
        owners = self._owners
        wanted = {tp: owners[tp].watermark(at) if tp in owners else at for tp, at in self._reached.items()}
        news = {tp: at for tp, at in wanted.items() if self._committed.get(tp) != at}
        if not news:
            return
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN_S):
                await self._consumer.commit(news)
        except (KafkaError, TimeoutError) as error:
            log.info("webhooks_not_committed", error=repr(error))
        else:
            self._committed |= news

    async def _stop_owners(self, *, drain_s: float = 0.0) -> None:
        await asyncio.gather(*(owner.stop(drain_s=drain_s) for owner in self._owners.values()))
