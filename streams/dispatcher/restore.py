"""Rebuilds a lane partition's state from its changelog."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.dispatch.state import LaneState
from schemas.serde import Serde
from streams import topics
from streams.dispatcher.changelog import Changelog
from streams.stores.lane_store import LaneStore

_POLL_MS = 200


@dataclass(slots=True)
class Restored:
    """A state, and the changelog offset up to which it is the fold of the changelog. Without a store it is all in memory."""

    state: LaneState = field(default_factory=LaneState)
    next_offset: int = 0
    store: LaneStore | None = None

    @classmethod
    def from_store(cls, store: LaneStore) -> Self:
        """Nothing read yet: `catch_up` takes what the store has first."""
        store.drop_changes()
        return cls(LaneState(store.finished, store.totals), store=store)

    def committed(self, records: Sequence[tuple[str, bytes | None]], *, next_offset: int) -> None:
        """Note that the changelog holds these and the state is their fold. Raises SettingsError when the disk is unusable."""
        self.next_offset = max(self.next_offset, next_offset)
        if self.store is not None:
            self.store.write(records, next_offset=self.next_offset)


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
        if restored.next_offset == 0 and restored.store is not None and restored.store.reuse(begin=begin, end=end):
            for key, value in restored.store.records():
                changelog.apply(restored.state, key, value)
            restored.next_offset = restored.store.next_offset
        consumer.seek(tp, max(restored.next_offset, begin))
        while await consumer.position(tp) < end:
            records = (await consumer.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ())
            for record in records:
                changelog.apply(restored.state, record.key.decode(), record.value)
            if records:
                restored.committed([(r.key.decode(), r.value) for r in records], next_offset=records[-1].offset + 1)
            read += len(records)
        restored.committed((), next_offset=end)
    finally:
        await consumer.stop()
    return read
