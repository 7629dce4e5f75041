"""Reads short stretches of the log for whoever asks about one request: by time or by offset, bounded, without a group."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.api.refusals import RETRY_AFTER_S, Refusal
from streams.edge.principal import Refused
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

Record: TypeAlias = Any  # aiokafka's ConsumerRecord, which has no types

AT_ONCE = 6
"""So many readers read at the same time in a process, with a consumer each."""
READ_WITHIN_S = 15.0
_POLL_MS = 200
_TURN = 500
_FETCH_WAIT_MS = 20  # a fetch that waits at an end would hold up the next stretch's


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a partition: from an offset, or else from a time on; to the end, or to the first record after `until_ms`."""

    topic: str
    partition: int
    since_ms: int = 0
    offset: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was kept. `offset` is where to go on in the only stretch, None when all was read."""

    records: list[Record]
    offset: int | None = None


class LogReading:
    """A few consumers, each used by one reader at a time."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._idle: dict[frozenset[str], list[Any]] = {}
        """By topics: a consumer that is given others asks the broker for metadata first."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["LogReading"]:
        try:
            yield self
        finally:
            for consumer in itertools.chain.from_iterable(self._idle.values()):
                await consumer.stop()

    async def read(
        self, stretches: Iterable[Stretch], keep: Callable[[Record], bool], *, most: int = 1_000, most_bytes: int = 8_000_000
    ) -> Found:
        """What `keep` says yes to, until there are `most` records, or so many bytes. Raises Refused while Kafka is away."""
        by_place = {TopicPartition(each.topic, each.partition): each for each in stretches}
        try:
            async with self._turns, asyncio.timeout(READ_WITHIN_S), self._consumer(by_place) as consumer:
                return await _read(consumer, by_place, keep, most, most_bytes)
        except (KafkaError, TimeoutError) as error:
            log.warning("edge_log_unread", error=type(error).__name__, next_step="check the broker")
            message = "the log could not be read in time: try again"
            raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error

    @contextlib.asynccontextmanager
    async def _consumer(self, places: Iterable[TopicPartition]) -> AsyncIterator[Any]:
        idle = self._idle.setdefault(frozenset(place.topic for place in places), [])
        consumer = idle.pop() if idle else await self._new()
        try:
            consumer.assign(list(places))
            yield consumer
            consumer.pause(*places)
        except BaseException:
            await consumer.stop()
            raise
        idle.append(consumer)

    async def _new(self) -> Any:
        settings = self._runtime.settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-lookup",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            **settings.kafka_security(),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer


async def _read(
    consumer: Any, by_place: Mapping[TopicPartition, Stretch], keep: Callable[[Record], bool], most: int, most_bytes: int
) -> Found:
    by_time = {place: each.since_ms for place, each in by_place.items() if each.offset is None}
    ends, timed = await asyncio.gather(consumer.end_offsets(list(by_place)), _at_times(consumer, by_time))
    starts = {
        place: each.offset if each.offset is not None else timed.get(place, ends[place]) for place, each in by_place.items()
    }
    for place, offset in starts.items():
        consumer.seek(place, offset)
    pending = {place for place, offset in starts.items() if offset < ends[place]}
    kept: list[Record] = []
    size = 0
    while pending:
        for place, records in (await consumer.getmany(*pending, timeout_ms=_POLL_MS, max_records=_TURN)).items():
            for record in records:
                if record.offset >= ends[place] or _is_after(record, by_place[place].until_ms):
                    pending.discard(place)
                    break
                if keep(record):
                    kept.append(record)
                    size += len(record.value or b"")
                    if len(kept) >= most or size >= most_bytes:
                        return Found(kept, record.offset + 1)
        pending = {place for place in pending if await consumer.position(place) < ends[place]}
    return Found(kept)


async def _at_times(consumer: Any, by_time: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """The first offsets at these times or later; without those places that have none."""
    found = await consumer.offsets_for_times(by_time) if by_time else {}
    return {place: at.offset for place, at in found.items() if at is not None}


def _is_after(record: Record, until_ms: int | None) -> bool:
    return until_ms is not None and record.timestamp > until_ms
