"""Rebuilds a lane partition's state from its changelog."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.dispatch.state import LaneState
from schemas.serde import Serde
from streams import topics
from streams.dispatcher.changelog import Changelog

_POLL_MS = 200


@dataclass(slots=True)
class Restored:
    """A state, and the changelog offset up to which it is the fold of the changelog."""

    state: LaneState = field(default_factory=LaneState)
    next_offset: int = 0


async def catch_up(
    restored: Restored, partition: int, *, serde: Serde, bootstrap_servers: str, client_id: str, security: Mapping[str, Any]
) -> int:
    """Fold the committed records from `restored.next_offset` to the end as it is now; returns how many were read.

    Call it once the transactional producer has started: then no transaction of a predecessor is open, and none can follow.
    """
    tp = TopicPartition(topics.CHANGELOG, partition)
    changelog, read = Changelog(serde), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        client_id=client_id,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        max_partition_fetch_bytes=8_000_000,
        **security,
    )
    await consumer.start()
    try:
        consumer.assign([tp])
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        consumer.seek(tp, max(restored.next_offset, begin))
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                changelog.apply(restored.state, record.key.decode(), record.value)
                read += 1
        restored.next_offset = end
    finally:
        await consumer.stop()
    return read
