"""Reads what the consumer groups have committed: how far they are now, and the history of it. Nothing is joined or changed."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import TopicPartition

from streams import offset_metadata, topics
from streams.bootstrap import require_bootstrap
from streams.settings import Settings
from streams.verify.facts import About, Moved
from streams.verify.group_log import GroupHistory, GroupLogError, partition_of
from streams.verify.progress import GROUP_OFFSETS
from streams.verify.tally import Commit

HISTORY, COMMITS = "I6 history", "I6 commits"
_POLL_MS = 50
_STALLED_S = 30.0
_REFUSED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError)
_NOT_YET = (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, CoordinatorLoadInProgressError)


class GroupOffsets:
    """The groups of intake, of the workers and of the tables. The dispatcher's positions stand in its changelog instead.

    `not_checked` says what could not be read, and why.
    """

    def __init__(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer | None, readers: Mapping[str, str], groups: Iterable[str]
    ) -> None:
        self._admin, self._consumer, self._readers = admin, consumer, readers
        self.history = GroupHistory(tuple(groups))
        self.not_checked: dict[str, str] = {}

    async def commits(self) -> dict[tuple[str, int], Commit]:
        """How far the groups are that promise something about every record: by topic and partition."""
        found: dict[tuple[str, int], Commit] = {}
        self.not_checked.pop(COMMITS, None)
        for group, topic in self._readers.items():
            try:
                offsets = await self._admin.list_consumer_group_offsets(group)
            except _REFUSED:
                self.not_checked[COMMITS] = f"this user may not describe the group {group}; grant it Describe"
            except _NOT_YET as error:
                self.not_checked[COMMITS] = f"the broker does not know the group {group} yet ({type(error).__name__})"
            else:
                for at, said in offsets.items():
                    if at.topic == topic and said.offset >= 0:
                        done = offset_metadata.decode(said.offset, said.metadata or "")
                        found[topic, at.partition] = Commit(group, said.offset, frozenset(done))
        if not found:
            self.not_checked.setdefault(COMMITS, "no group has committed anything yet")
        return found

    async def news(self) -> AsyncIterator[tuple[About, Moved]]:
        """What the history says that was not read yet, up to its end."""
        consumer = self._consumer
        if consumer is None:
            return
        try:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            moved_s = time.monotonic()
            while pending := [p for p, end in ends.items() if await consumer.position(p) < end]:
                batches = await consumer.getmany(*pending, timeout_ms=_POLL_MS, max_records=2_000)
                for record in (record for records in batches.values() for record in records):
                    for said in self.history.facts(record.partition, record.offset, record.key, record.value):
                        yield said
                if batches:
                    moved_s = time.monotonic()
                elif time.monotonic() - moved_s > _STALLED_S:
                    self.not_checked[HISTORY] = f"{GROUP_OFFSETS} could not be read to its end within {_STALLED_S:.0f} s"
                    return
        except _REFUSED:
            await self._refused(consumer)
        except GroupLogError as error:
            self.not_checked[HISTORY] = str(error)

    async def go_to(self, positions: Mapping[int, int]) -> None:
        """Read the history on from there; from its beginning where nothing is said, or where that was compacted away."""
        consumer = self._consumer
        if consumer is None:
            return
        try:
            for partition, begin in (await consumer.beginning_offsets(list(consumer.assignment()))).items():
                consumer.seek(partition, max(begin, positions.get(partition.partition, begin)))
        except _REFUSED:
            await self._refused(consumer)

    async def positions(self) -> dict[int, int]:
        """How far the history was read, by partition of its topic."""
        if self._consumer is None:
            return {}
        return {p.partition: await self._consumer.position(p) for p in self._consumer.assignment()}

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()

    async def _refused(self, consumer: AIOKafkaConsumer) -> None:
        self.not_checked[HISTORY] = f"this user may not read {GROUP_OFFSETS}; grant it Read and Describe"
        self._consumer = None
        await consumer.stop()


@asynccontextmanager
async def open_group_offsets(settings: Settings, providers: Iterable[str]) -> AsyncIterator[GroupOffsets]:
    """At the beginning of the history; `go_to` goes elsewhere."""
    client = {
        "bootstrap_servers": require_bootstrap(settings),
        "client_id": f"{settings.app}-verify",
        **settings.kafka_security(),
    }
    readers = {settings.group("intake"): topics.REQUESTS} | {settings.group(f"calls:{p}"): topics.calls(p) for p in providers}
    groups = [*readers, settings.group("tables")]
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    offsets: GroupOffsets | None = None
    try:
        count = await _partition_count(admin)
        consumer = None
        if count:
            consumer = AIOKafkaConsumer(
                group_id=None, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="none", **client
            )
            await consumer.start()
        offsets = GroupOffsets(admin, consumer, readers, groups)
        if consumer is None:
            offsets.not_checked[HISTORY] = f"{GROUP_OFFSETS} is not there, or this user may not see it (Describe)"
        else:
            consumer.assign(sorted({TopicPartition(GROUP_OFFSETS, partition_of(group, count)) for group in groups}))
            await offsets.go_to({})
        yield offsets
    finally:
        if offsets is not None:
            await offsets.close()
        await admin.close()


async def _partition_count(admin: AIOKafkaAdminClient) -> int:
    """Of the topic of group offsets; 0 when it is not there or must not be seen."""
    if GROUP_OFFSETS not in await admin.list_topics():
        return 0
    (described,) = await admin.describe_topics([GROUP_OFFSETS])
    return len(described["partitions"])
