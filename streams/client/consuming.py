"""Reads a topic record by record, and commits what the program has done with."""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    CommitFailedError,
    ConsumerStoppedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import TopicPartition

from streams import clock
from streams.broker_errors import in_words
from streams.client.connecting import Connection
from streams.client.errors import RecordsGone
from streams.decoding import decode

log = structlog.get_logger(__name__)

From = Literal["earliest", "latest"] | datetime
COMMIT_EVERY_S = 1.0
_LAST_COMMIT_S = 5.0
_HEARTBEAT_MS = 1_000
"""So soon a member hears that another one has come or gone."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record where it stands.

    `value` is a record of `schemas`, None for a tombstone, or `Unreadable` for what is no record of ours: `raw` has its bytes.
    """

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    key: str | None
    value: Any
    raw: bytes | None


class Consumption(ConsumerRebalanceListener):  # type: ignore[misc]
    """The records of one topic, for `async for`; also an async context manager, which closes it.

    At least once: a record is done with when the loop asks for the next one, and what is done with is committed every second,
    when a partition goes to another member of the group, and at the end. So a record comes again, here or at another member, when
    its body was left by `break` or an exception, after a crash, and at times when members come and go.

    Without a group nothing is committed, and every consumption begins at `from_`.
    """

    def __init__(
        self, connection: Connection, topic: str, *, group: str | None, from_: From, allow_gaps: bool, opened: "set[Consumption]"
    ) -> None:
        self._connection = connection
        self._opened = opened
        self._topic = topic
        self._group = group
        self._from = from_
        self._allow_gaps = allow_gaps
        self._consumer: AIOKafkaConsumer | None = None
        self._services = contextlib.AsyncExitStack()
        self._handed: Record | None = None
        self._again: Record | None = None
        self._done: dict[TopicPartition, int] = {}

    def __aiter__(self) -> "Consumption":
        self._again, self._handed = self._handed or self._again, None
        return self

    async def __anext__(self) -> Record:
        consumer = self._consumer or await self._open()
        self._mark()
        record, self._again = self._again, None
        if record is None:
            try:
                record = await self._next(consumer)
            except ConsumerStoppedError:
                raise StopAsyncIteration from None
        self._handed = record
        return record

    async def commit(self) -> None:
        """Done with everything until now, the record of this turn of the loop too: return when the broker has it.

        What the group has taken away meanwhile is not committed: it comes again elsewhere.
        """
        self._mark()
        await self._commit()

    async def aclose(self) -> None:
        """Commit what is done with and leave the group; a loop that waits ends. The next loop joins the group again."""
        self._handed = self._again = self._consumer = None
        self._opened.discard(self)
        await self._services.aclose()

    async def __aenter__(self) -> "Consumption":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._commit()
        gone = set(revoked)
        self._done = {partition: offset for partition, offset in self._done.items() if partition not in gone}
        self._handed, self._again = (
            None if record is None or _partition(record) in gone else record for record in (self._handed, self._again)
        )

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None: ...

    async def _open(self) -> AIOKafkaConsumer:
        settings = self._connection.settings
        consumer = self._connection.consumer(
            group_id=self._group,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=min(_HEARTBEAT_MS, settings.session_timeout_ms // 3),
        )
        consumer.subscribe([self._topic], listener=self)
        async with contextlib.AsyncExitStack() as opening:
            opening.push_async_callback(consumer.stop)
            with in_words(settings, self._topic):
                await consumer.start()
            self._consumer = consumer
            if self._group is not None:
                opening.push_async_callback(self._commit_at_the_end, consumer)
                opening.push_async_callback(
                    _cancelled, asyncio.create_task(self._commit_for_ever(), name=f"commits {self._topic}")
                )
            self._services = opening.pop_all()
        self._opened.add(self)
        return consumer

    async def _next(self, consumer: AIOKafkaConsumer) -> Record:
        while True:
            try:
                with in_words(self._connection.settings, self._topic):
                    found = await consumer.getone()
            except NoOffsetForPartitionError as error:
                await self._begin(consumer, error.args[0])
            except OffsetOutOfRangeError as error:
                for partition, offset in error.args[0].items():
                    await self._pass_gap(consumer, partition, offset)
            else:
                return await self._record(found)

    async def _begin(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Place a partition that the group has not read yet."""
        match self._from:
            case "earliest":
                offset = (await consumer.beginning_offsets([partition]))[partition]
            case "latest":
                offset = (await consumer.end_offsets([partition]))[partition]
            case time:
                found = (await consumer.offsets_for_times({partition: int(time.timestamp() * 1000)}))[partition]
                offset = (await consumer.end_offsets([partition]))[partition] if found is None else found.offset
        consumer.seek(partition, offset)

    async def _pass_gap(self, consumer: AIOKafkaConsumer, partition: TopicPartition, offset: int) -> None:
        gone = RecordsGone(partition.topic, partition.partition, offset)
        if not self._allow_gaps:
            raise gone
        oldest = (await consumer.beginning_offsets([partition]))[partition]
        place = {"topic": partition.topic, "partition": partition.partition}
        log.warning("records_gone", **place, first=offset, next=oldest, next_step="read more often than the topic keeps records")
        consumer.seek(partition, oldest)

    async def _record(self, found: Any) -> Record:
        await self._connection.meet(found.value)
        return Record(
            topic=found.topic,
            partition=found.partition,
            offset=found.offset,
            timestamp=clock.from_kafka_ms(found.timestamp),
            key=None if found.key is None else found.key.decode("utf-8", errors="backslashreplace"),
            value=decode(self._connection.serde, found.value),
            raw=found.value,
        )

    def _mark(self) -> None:
        if (record := self._handed) is not None:
            self._handed = None
            self._done[_partition(record)] = record.offset + 1

    async def _commit(self) -> None:
        consumer, offsets = self._consumer, dict(self._done)
        if consumer is not None and self._group is not None and offsets:
            await self._commit_of(consumer, offsets)

    async def _commit_of(self, consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit_refused", group=self._group, error=type(error).__name__, next_step="the records come again")
        for partition, offset in offsets.items():
            if self._done.get(partition) == offset:
                del self._done[partition]

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            try:
                await self._commit()
            except KafkaError as error:
                log.warning(
                    "commit_failed", group=self._group, error=type(error).__name__, next_step="it is retried; check the broker"
                )

    async def _commit_at_the_end(self, consumer: AIOKafkaConsumer) -> None:
        offsets, self._done = dict(self._done), {}
        if not offsets:
            return
        try:
            async with asyncio.timeout(_LAST_COMMIT_S):
                await self._commit_of(consumer, offsets)
        except (KafkaError, TimeoutError) as error:
            log.warning("commit_failed", group=self._group, error=type(error).__name__, next_step="the last records come again")


def _partition(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
