"""Fetching and handing out: from Kafka to the agents' queues, with a book for every partition that is acknowledged.

A full queue pauses the partitions of its topic, and records that were fetched before a seek are never handed out after it.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition
from faust.transport.consumer import ensure_TP
from faust.types.tuples import TP

from streams.faust_host.driver import Driver
from streams.faust_host.message import Message, from_record
from streams.faust_host.offsets import PartitionOffsets

POLL_S = 1.0
RECOVERY_POLL_S = 0.05
"""A reading of transaction markers alone returns nothing, and must not keep a recovery waiting."""
YIELD_EVERY = 100
ASK_AGAIN_S = 0.02

Fetched = list[tuple[TP, PartitionOffsets | None, int, list[Any]]]
"""Of each partition: its book (None for changelogs), the reading it was in, and the records."""


class Delivery(Driver):
    """The half of the consumer that runs in Faust's fetcher."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._books: dict[TP, PartitionOffsets] = {}
        self._fetching: asyncio.Task[Fetched] | None = None
        self._some_active = asyncio.Event()
        self._since_yield = 0

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.can_resume_flow.wait()
                begun_s = self.loop.time()
                fetched = await self._fetch()
                if self.loop.time() - begun_s > (self.options.session_timeout_ms - self.options.heartbeat_ms) / 1000:
                    await self._ask_the_group()
                for tp, book, reading, records in fetched:
                    await self._hand_out(tp, book, reading, records)
                if self.app.in_recovery:
                    await self._note_positions()
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not (fetcher.should_stop or self.app.should_stop):
                raise

    async def _hand_out(self, tp: TP, book: PartitionOffsets | None, reading: int, records: list[Any]) -> None:
        for record in records:
            if not self.flow_active:
                await self.can_resume_flow.wait()
            if self._books.get(tp) is not book or self._reading_of(tp, book) != reading:
                return
            message = from_record(record, tp, generation=self.app.consumer_generation_id, book=book)
            if book is None or book.deliver(record.offset, message):
                await self.callback(message)
            self._since_yield += 1
            if self._since_yield >= YIELD_EVERY:
                self._since_yield = 0
                await asyncio.sleep(0)

    async def _ask_the_group(self) -> None:
        """After a standstill that a session may have ended in: return when we are a member still, or our books have been closed.

        Fetching asks nobody whose partition it is. What was fetched is another member's by now, mostly, and done there.
        """
        coordinator, books = self._client()._coordinator, self._books  # noqa: SLF001 - aiokafka's own heartbeat may be a second away
        while self._books is books and not self.should_stop:
            if coordinator.generation >= 0 and await coordinator._do_heartbeat():  # noqa: SLF001
                return
            await asyncio.sleep(ASK_AGAIN_S)

    async def _fetch(self) -> Fetched:
        """The next records of the active partitions; empty when a second went by, or another partition became active."""
        active = self._get_active_partitions()
        if not active:
            self._some_active.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._some_active.wait(), POLL_S)
            return []
        self._fetching = asyncio.create_task(self._poll([TopicPartition(*tp) for tp in active]))
        try:
            return await self._fetching
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._fetching.cancelled() and current is not None and not current.cancelling():
                return []
            self._fetching.cancel()
            raise
        finally:
            self._fetching = None

    async def _poll(self, active: list[TopicPartition]) -> Fetched:
        wait_s = RECOVERY_POLL_S if self.app.in_recovery else POLL_S
        fetched = await self._client().getmany(*active, timeout_ms=int(wait_s * 1000), max_records=self.options.max_poll_records)
        # No await from here on: the reading must be that of the step in which aiokafka moved its position, and a cancellation
        # (by `_wake`) must find the records either still in aiokafka or on their way out.
        found: Fetched = []
        for topic_partition, records in fetched.items():
            tp = ensure_TP(topic_partition)
            book = self._books.get(tp)
            if book is not None or not self._acked_topic(tp):
                found.append((tp, book, self._reading_of(tp, book), records))
            # else: between a rebalance and the seek that ends it; that seek has it read again
        return found

    def _reading_of(self, tp: TP, book: PartitionOffsets | None) -> int:
        return self._changelog_readings[tp] if book is None else book.readings

    def _acked_topic(self, tp: TP) -> bool:
        return bool(self.app.topics.acks_enabled_for(tp.topic)) and not self._is_changelog_tp(tp)

    async def _note_positions(self) -> None:
        for tp in list(self._get_active_partitions()):
            if not self._acked_topic(tp):
                self.read_to[tp] = await self._client().position(TopicPartition(*tp))

    # -- which partitions are active

    def _set_active_tps(self, tps: set[TP]) -> set[TP]:
        active: set[TP] = super()._set_active_tps(tps)
        self._wake()
        return active

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._wake()

    def on_buffer_full(self, tp: TP) -> None:
        """Pause all partitions of the topic, for they share the agent's queue: full, it would hold up the other agents too."""
        if not self.app.in_recovery:
            full = {other for other in self._get_active_partitions() if other.topic == tp.topic}
            self._get_active_partitions().difference_update(full)
            self._buffered_partitions.update(full)

    def on_buffer_drop(self, tp: TP) -> None:
        """Go on with the topic, but for partitions that have moved or are paused for another reason."""
        drained = {other for other in self._buffered_partitions if other.topic == tp.topic}
        self._buffered_partitions.difference_update(drained)
        if drained := drained & self.assignment() - self._paused_partitions:
            self._get_active_partitions().update(drained)
            self._wake()

    def _wake(self) -> None:
        self._some_active.set()
        if self._fetching is not None:
            self._fetching.cancel()

    def _to_message(self, tp: TP, record: Any) -> Message:
        return from_record(record, tp, generation=self.app.consumer_generation_id, book=self._books.get(tp))
