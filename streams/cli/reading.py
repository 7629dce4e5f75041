"""Reads topics as any consumer sees them: all partitions, committed records, no group, nothing stored."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.beginning import At, Beginning, End, Last, Start
from streams.broker_errors import in_words
from streams.settings import Settings
from streams.topics import MAX_MESSAGE_BYTES

Record: TypeAlias = Any  # aiokafka's ConsumerRecord, which has no types
Ends: TypeAlias = Mapping[TopicPartition, int]

_POLL_MS = 200
_ANSWERS_WITHIN_MS = 10_000


@contextmanager
def broker_errors(settings: Settings) -> Iterator[None]:
    """As `in_words`, and what is raised is not logged as well."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with in_words(settings):
        yield


class Reader:
    """A consumer of all partitions of some topics."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer

    @property
    def partitions(self) -> list[TopicPartition]:
        return sorted(self._consumer.assignment())

    async def ends(self) -> dict[TopicPartition, int]:
        """The offset after the last committed record of each partition, now."""
        return cast("dict[TopicPartition, int]", await self._consumer.end_offsets(self.partitions))

    async def begins(self) -> dict[TopicPartition, int]:
        """The offset of the oldest record of each partition."""
        return cast("dict[TopicPartition, int]", await self._consumer.beginning_offsets(self.partitions))

    async def seek(self, start: Start) -> None:
        """Place every partition at `start`. For `Last` it may be somewhat before: see `last`."""
        match start:
            case Beginning():
                offsets = await self.begins()
            case End():
                offsets = await self.ends()
            case At(time):
                offsets = await self._offsets_at(int(time.timestamp() * 1000))
            case Last():
                raise ValueError("read `Last` with last()")
        self.place(offsets)

    def place(self, offsets: Ends) -> None:
        for partition, offset in offsets.items():
            self._consumer.seek(partition, offset)

    async def until(self, ends: Ends) -> AsyncGenerator[Record, None]:
        """Every record up to `ends`; partitions take turns."""
        pending = {p for p, end in ends.items() if await self._consumer.position(p) < end}
        while pending:
            batches = await self._consumer.getmany(*pending, timeout_ms=_POLL_MS)
            for partition, records in batches.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record
            pending = {p for p in pending if await self._consumer.position(p) < ends[p]}

    async def follow(self) -> AsyncGenerator[Record, None]:
        """Every record from where the reader stands, for as long as the caller likes."""
        while True:
            for records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    yield record

    async def last(self, count: int, ends: Ends) -> list[Record]:
        """The last `count` records before `ends`, in the order of time. Leaves the reader at `ends`.

        Offsets also count transaction markers and what was compacted away, so it looks further back until it has enough.
        """
        begins = await self.begins()
        back = 2 * count + 8
        while True:
            froms = {p: max(begins[p], end - back) for p, end in ends.items()}
            self.place(froms)
            found: dict[TopicPartition, list[Record]] = {}
            async for record in self.until(ends):
                found.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
            if all(froms[p] == begins[p] or len(found.get(p, ())) >= count for p in ends):
                break
            back *= 4
        self.place(ends)
        return sorted((r for records in found.values() for r in records), key=_age)[-count:]

    async def _offsets_at(self, timestamp_ms: int) -> dict[TopicPartition, int]:
        found = await self._consumer.offsets_for_times(dict.fromkeys(self.partitions, timestamp_ms))
        ends = await self.ends()
        return {p: at.offset if (at := found.get(p)) is not None else end for p, end in ends.items()}


@asynccontextmanager
async def open_reader(settings: Settings, names: Sequence[str]) -> AsyncIterator[Reader]:
    """A reader of these topics. Raises SettingsError when Kafka does not answer or a topic does not exist."""
    with broker_errors(settings):
        consumer = AIOKafkaConsumer(
            *names,
            bootstrap_servers=settings.bootstrap_servers,
            client_id=f"{settings.app}-cli",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="latest",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            retry_backoff_ms=20,
            # So long it waits for a topic that does not exist; with aiokafka's own 40 s nobody waits for what is to be said.
            request_timeout_ms=_ANSWERS_WITHIN_MS,
            **settings.kafka_security(),
        )
        try:
            with in_words(settings, " or ".join(names)):
                await consumer.start()
            yield Reader(consumer)
        finally:
            await consumer.stop()


def _age(record: Any) -> tuple[int, str, int, int]:
    return (record.timestamp, record.topic, record.partition, record.offset)
