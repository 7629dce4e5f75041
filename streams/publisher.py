"""Publishes records in shared batches and says when the broker has them.

Everything that arrives while a flush is on its way goes out with the next one: no lingering, one future a caller instead of
one a record. Delivery is at-least-once: a retried batch may stand twice in the log, which every reader of these topics expects.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.placement import partition_of
from streams.topics import MAX_MESSAGE_BYTES

MAX_BATCH_BYTES = 1_000_000
REQUEST_TIMEOUT_MS = 60_000
"""A broker away for longer ends the process; what it had consumed is not acknowledged and comes again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to publish. Without `partition` the key chooses it, as Kafka's default partitioner does."""

    topic: str
    key: str
    value: bytes | None
    partition: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()


class Publisher:
    """An aiokafka producer shared by all tasks of a process. Use as an async context manager."""

    def __init__(self, *, bootstrap_servers: str, client_id: str, security: dict[str, Any] | None = None) -> None:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            client_id=client_id,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            retry_backoff_ms=20,
            **(security or {}),
        )
        self._pending: list[tuple[Sequence[Outgoing], asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Publisher":
        try:
            await self._producer.start()
        except BaseException:
            await self._producer.stop()
            raise
        self._flusher = asyncio.create_task(self._flush_forever(), name="publisher")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            await asyncio.gather(*(future for _, future in self._pending), return_exceptions=True)
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.gather(self._flusher, return_exceptions=True)
        await self._producer.stop()

    async def send_all(self, records: Iterable[Outgoing]) -> None:
        """Returns when the broker has acknowledged all records; raises aiokafka's KafkaError when it has not."""
        batch = tuple(records)
        if batch:
            await self.enqueue(batch)

    def enqueue(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Hand records over without waiting; the future ends as `send_all` would."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((records, future))
        self._arrived.set()
        return future

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has; raises UnknownTopicOrPartitionError when it does not exist."""
        return len(await self._producer.partitions_for(topic))

    async def _flush_forever(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            taken, self._pending = self._pending, []
            waiting = [future for _, future in taken]
            try:
                await self._flush([record for records, _ in taken for record in records])
            except asyncio.CancelledError:
                for future in waiting:
                    future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - the callers are told, and it is for them to act
                for future in waiting:
                    if not future.done():
                        future.set_exception(error)
            else:
                for future in waiting:
                    if not future.done():
                        future.set_result(None)

    async def _flush(self, records: list[Outgoing]) -> None:
        """Send everything, one batch a partition (more when it is full), and wait for every acknowledgement.

        A flush fails as a whole: its callers cannot tell which of their records arrived, and publish again.
        """
        by_partition: dict[TopicPartition, list[Outgoing]] = {}
        counts: dict[str, int] = {}
        for record in records:
            partition = record.partition
            if partition is None:
                if (count := counts.get(record.topic)) is None:
                    count = counts[record.topic] = await self.partitions(record.topic)
                partition = partition_of(record.key, count)
            by_partition.setdefault(TopicPartition(record.topic, partition), []).append(record)
        acknowledged = [future for tp, group in by_partition.items() for future in await send_group(self._producer, tp, group)]
        results = await asyncio.gather(*acknowledged, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def send_group(producer: AIOKafkaProducer, tp: TopicPartition, group: Iterable[Outgoing]) -> list[asyncio.Future[Any]]:
    """Hand one partition's records to the producer in as few batches as fit; a future each batch."""
    futures = []
    builder = producer.create_batch()
    for record in group:
        key = record.key.encode()
        if builder.append(key=key, value=record.value, timestamp=None, headers=list(record.headers)) is None:
            futures.append(await producer.send_batch(builder, tp.topic, partition=tp.partition))
            builder = producer.create_batch()
            builder.append(key=key, value=record.value, timestamp=None, headers=list(record.headers))
    builder.close()
    futures.append(await producer.send_batch(builder, tp.topic, partition=tp.partition))
    return futures
