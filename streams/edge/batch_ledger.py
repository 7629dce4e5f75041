"""What the owner of a partition of ai.batches writes: in transactions that fence whoever owned the partition before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from streams.placement import partition_of
from streams.publisher import MAX_BATCH_BYTES, Outgoing, send_group
from streams.runtime import Runtime
from streams.topics import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

_CLOSED_WITHIN_S = 5.0


class BatchLedger:
    """One transaction at a time. After an error it is of no use: the group decides anew who owns the partition."""

    def __init__(self, producer: AIOKafkaProducer, timeout_s: float) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self._turn = asyncio.Lock()

    async def commit(self, records: Sequence[Outgoing]) -> None:
        """All of the records, or none. Raises KafkaError (ProducerFenced: another process has the partition) and TimeoutError."""
        async with self._turn, asyncio.timeout(self._timeout_s):
            await self._producer.begin_transaction()
            by_place: dict[TopicPartition, list[Outgoing]] = {}
            for record in records:
                by_place.setdefault(TopicPartition(record.topic, await self._partition(record)), []).append(record)
            sent = [future for place, group in by_place.items() for future in await send_group(self._producer, place, group)]
            await asyncio.gather(*sent)
            await self._producer.commit_transaction()

    async def _partition(self, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        return partition_of(record.key, len(await self._producer.partitions_for(record.topic)))


@contextlib.asynccontextmanager
async def open_ledger(runtime: Runtime, partition: int) -> AsyncIterator[BatchLedger]:
    """In the body no transaction of an earlier owner is open, and none can be committed."""
    settings = runtime.settings
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=runtime.bootstrap_servers,
        client_id=f"{settings.app}-{runtime.role}-batches-{partition}",
        transactional_id=f"{settings.app}-batches-{partition}",
        transaction_timeout_ms=settings.transaction_timeout_ms,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
        retry_backoff_ms=20,
        **settings.kafka_security(),
    )
    try:
        await producer.start()
        yield BatchLedger(producer, settings.transaction_timeout_ms / 1000)
    finally:
        # Nothing of an open transaction may be kept: a broker that is away is not waited for.
        try:
            await asyncio.wait_for(producer.stop(), _CLOSED_WITHIN_S)
        except (TimeoutError, asyncio.CancelledError):
            log.warning("producer_abandoned", partition=partition)
