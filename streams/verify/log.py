"""Reads topics from their beginning as any committed reader sees them: all partitions, no group, nothing stored."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.errors import SettingsError
from streams.bootstrap import require_bootstrap
from streams.settings import Settings
from streams.topics import CALLS_PREFIX

_PREFIX = "ai."
_POLL_MS = 50
_BATCH_RECORDS = 1_000
_FETCH_PARTITION_BYTES = 256 * 1024
_FETCH_BYTES = 4 * 1024 * 1024
"""What is fetched ahead lies in memory. A larger record comes all the same, when its partition is the first of a fetch."""

_STALLED_S = 60.0


class Log:
    """The topics `names`, read once from beginning to end, and on from there."""

    def __init__(
        self, consumer: AIOKafkaConsumer, read: Sequence[TopicPartition], others: Sequence[TopicPartition], cluster_id: str
    ) -> None:
        self._consumer, self._read, self._others = consumer, read, others
        self.cluster_id = cluster_id

    @property
    def partitions(self) -> list[TopicPartition]:
        """All partitions of ours, those that are not read as well."""
        return sorted([*self._read, *self._others])

    @property
    def providers(self) -> list[str]:
        """Those whose topics of orders are there."""
        names = {p.topic for p in self._read if p.topic.startswith(CALLS_PREFIX)}
        return sorted(name.removeprefix(CALLS_PREFIX) for name in names)

    async def positions(self) -> dict[str, dict[int, int]]:
        """The next offset to read of every partition that is read."""
        found: dict[str, dict[int, int]] = {}
        for partition in self._read:
            found.setdefault(partition.topic, {})[partition.partition] = await self._consumer.position(partition)
        return found

    async def go_to(self, positions: Mapping[str, Mapping[int, int]]) -> bool:
        """Read on from there. False when a partition ends before its position: it is another log, and nothing is changed."""
        wanted = {p: positions.get(p.topic, {}).get(p.partition, 0) for p in self._read}
        ends = await self._consumer.end_offsets(self._read)
        if any(ends[p] < at for p, at in wanted.items()):
            return False
        for partition, begin in (await self._consumer.beginning_offsets(self._read)).items():
            self._consumer.seek(partition, max(begin, wanted[partition]))
        return True

    async def ends(self) -> dict[str, list[int]]:
        """The end offsets of every topic of ours, by partition: what is committed, and those that are not read as well."""
        found: Mapping[TopicPartition, int] = await self._consumer.end_offsets([*self._read, *self._others])
        ends: dict[str, list[int]] = {}
        for partition in sorted(found):
            ends.setdefault(partition.topic, []).append(found[partition])
        return ends

    async def rest(self, ends: Mapping[str, Sequence[int]]) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Batches of what was not read yet, at least up to `ends`. Raises SettingsError when a partition stands still."""
        pending = await self._behind(ends, self._read)
        moved_s = time.monotonic()
        while pending:
            batches = await self._consumer.getmany(*pending, timeout_ms=_POLL_MS, max_records=_BATCH_RECORDS)
            for records in batches.values():
                yield records
            still = await self._behind(ends, pending)
            if batches or still != pending:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > _STALLED_S:
                stuck = ", ".join(f"{p.topic}-{p.partition}" for p in pending)
                raise SettingsError(f"nothing could be read from {stuck} for {_STALLED_S:.0f} s; check the broker's own log")
            pending = still

    async def is_at(self, ends: Mapping[str, Sequence[int]]) -> bool:
        """Whether exactly what `ends` say was read: all topics stand at the same moment."""
        return all([await self._consumer.position(p) == ends[p.topic][p.partition] for p in self._read])

    async def oldest_us(self, topics: Iterable[str], retention_us: Mapping[str, int]) -> int:
        """The time from which on all these topics are complete, Unix microseconds; 0 when nothing was ever removed.

        That of the youngest first record among the partitions that have lost some; of one that has lost all, its retention.
        """
        partitions = [p for p in self._read if p.topic in topics]
        begins = await self._consumer.beginning_offsets(partitions)
        oldest_us = 0
        for partition, begin in begins.items():
            if begin == 0:
                continue
            at = await self._consumer.position(partition)
            self._consumer.seek(partition, begin)
            batches = await self._consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
            first = next(iter(batches.get(partition, ())), None)
            self._consumer.seek(partition, at)
            kept_us = time.time_ns() // 1000 - retention_us[partition.topic]
            oldest_us = max(oldest_us, first.timestamp * 1000 if first else kept_us)
        return oldest_us

    async def _behind(self, ends: Mapping[str, Sequence[int]], among: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [p for p in among if await self._consumer.position(p) < ends[p.topic][p.partition]]


@asynccontextmanager
async def open_log(settings: Settings, names: Sequence[str]) -> AsyncIterator[Log]:
    """The topics `names` and all orders. Raises SettingsError when Kafka does not answer or a topic does not exist."""
    bootstrap = require_bootstrap(settings)
    client = {"bootstrap_servers": bootstrap, "client_id": f"{settings.app}-verify", **settings.kafka_security()}
    try:
        cluster_id, partitions = await _partitions(client)
    except KafkaConnectionError as error:
        raise SettingsError(f"no Kafka answers at {bootstrap}; start it, or correct --bootstrap-servers") from error
    present = {p.topic for p in partitions}
    if missing := [name for name in names if name not in present]:
        raise SettingsError(
            f"{', '.join(missing)} cannot be found at {bootstrap}; create the topics with `penstock init`, "
            "or correct --bootstrap-servers"
        )
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=_FETCH_PARTITION_BYTES,
        fetch_max_bytes=_FETCH_BYTES,
        **client,
    )
    await consumer.start()
    try:
        read = [p for p in partitions if p.topic in names or p.topic.startswith(CALLS_PREFIX)]
        others = [p for p in partitions if p not in read]
        consumer.assign(partitions)
        consumer.pause(*others)  # assigned all the same: only of assigned topics does the client know the leaders at once
        for partition, begin in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(partition, begin)
        yield Log(consumer, read, others, cluster_id)
    finally:
        await consumer.stop()


async def _partitions(client: Mapping[str, object]) -> tuple[str, list[TopicPartition]]:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if name.startswith(_PREFIX)]
        described = await admin.describe_topics(ours) if ours else []
        partitions = sorted(TopicPartition(t["topic"], p["partition"]) for t in described for p in t["partitions"])
        return str((await admin.describe_cluster())["cluster_id"]), partitions
    finally:
        await admin.close()
