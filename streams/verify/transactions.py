"""Open transactions: what keeps committed readers from the end of a partition, and since when."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.bootstrap import require_bootstrap
from streams.settings import Settings
from streams.topics import MAX_MESSAGE_BYTES
from streams.verify.tally import Tally
from streams.verify.verdict import Problem, ProblemKind

_READ_MS = 2_000


class Held(NamedTuple):
    """A transaction is open from `offset` on. `since_us` is the time of its first record, None when that could not be read."""

    topic: str
    partition: int
    offset: int
    since_us: int | None


class Uncommitted:
    """Sees the ends of the partitions as they are, open transactions included."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> None:
        self._consumer, self._partitions = consumer, partitions

    async def ends(self) -> dict[TopicPartition, int]:
        """Ask before asking for the committed ends: what is still less then is held by a transaction."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(self._partitions)
        return ends

    async def held(self, ends: Mapping[TopicPartition, int], committed: Mapping[str, Sequence[int]]) -> list[Held]:
        """The partitions in which a transaction is open, with its beginning."""
        found = []
        for place, end in ends.items():
            offset = committed[place.topic][place.partition]
            if offset < end:
                found.append(Held(place.topic, place.partition, offset, await self._began_us(place, offset)))
        return found

    async def _began_us(self, place: TopicPartition, offset: int) -> int | None:
        self._consumer.seek(place, offset)
        self._consumer.resume(place)
        batches = await self._consumer.getmany(place, timeout_ms=_READ_MS, max_records=1)
        self._consumer.pause(place)
        record = next(iter(batches.get(place, ())), None)
        return None if record is None else record.timestamp * 1000


@asynccontextmanager
async def open_uncommitted(settings: Settings, partitions: Sequence[TopicPartition]) -> AsyncIterator[Uncommitted]:
    """A reader that fetches nothing unless it is asked to."""
    consumer = AIOKafkaConsumer(
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_uncommitted",
        auto_offset_reset="none",
        max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
        bootstrap_servers=require_bootstrap(settings),
        client_id=f"{settings.app}-verify",
        **settings.kafka_security(),
    )
    await consumer.start()
    try:
        consumer.assign(list(partitions))
        for partition in partitions:
            consumer.seek(partition, 0)
        consumer.pause(*partitions)
        yield Uncommitted(consumer, partitions)
    finally:
        await consumer.stop()


def judge(held: Sequence[Held], tally: Tally, *, now_us: int, timeout_us: int, grace_us: int) -> None:
    """A transaction is in flight until its timeout; then the coordinator should have ended it, and nothing else will."""
    for topic, partition, offset, since_us in held:
        open_s = None if since_us is None else max(0, now_us - since_us) / 1e6
        if open_s is None or open_s * 1e6 <= timeout_us + grace_us:
            message = "a transaction is open here, and committed readers wait for its end; run again with --wait"
            kind = ProblemKind.IN_FLIGHT
        else:
            message = (
                f"a transaction is open since {open_s:.0f} s, longer than its timeout of {timeout_us / 1e6:g} s: readers "
                "see nothing after it. Kafka's own `kafka-transactions.sh find-hanging` names its producer and `abort` ends it; "
                "after a kill -9 of a single broker see docs/operations.md, Replication"
            )
            kind = ProblemKind.HUNG_TRANSACTION
        tally.add(Problem(kind, f"{topic}-{partition}", message, topic, partition, offset))
