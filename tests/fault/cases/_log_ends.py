"""Where the log ends, and where it ends for those who read committed records only: what lies between is an open transaction."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams import topics
from tests.fault.rig import Rig

_SETTLED_S = 0.15
"""What a process had sent before it was stopped has reached the log by then, the marker of a commit included."""
_STAYS_S = 0.25
_MOST_TRIES = 150


class LogEnds:
    """Asks the broker for both ends of a set of partitions."""

    def __init__(self, all_records: AIOKafkaConsumer, committed: AIOKafkaConsumer) -> None:
        self._all_records, self._committed = all_records, committed

    async def open_ones(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where committed reading ends in those partitions that have an open transaction."""
        asked = list(partitions)
        stable, ends = await self._committed.end_offsets(asked), await self._all_records.end_offsets(asked)
        return {tp: stable[tp] for tp in asked if stable[tp] < ends[tp]}

    async def ends(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Where the log ends, open transactions included."""
        ends: Mapping[TopicPartition, int] = await self._all_records.end_offsets(list(partitions))
        return ends

    async def stays_open(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """The partitions where committed reading stands still before an open transaction now."""
        await asyncio.sleep(_SETTLED_S)
        before = await self.open_ones(partitions)
        await asyncio.sleep(_STAYS_S)
        after = await self.open_ones(before)
        return [tp for tp, offset in after.items() if before[tp] == offset]

    async def closed_within(self, partitions: Iterable[TopicPartition], within_s: float) -> Mapping[TopicPartition, int]:
        """What is still open after so long: empty is good. Ask when the load has ended."""
        give_up = time.monotonic() + within_s
        asked = list(partitions)
        while True:
            still = await self.open_ones(asked)
            if not still or time.monotonic() > give_up:
                return still
            await asyncio.sleep(0.2)


@asynccontextmanager
async def log_ends(rig: Rig) -> AsyncIterator[LogEnds]:
    """Two consumers of no group."""
    levels = ("read_uncommitted", "read_committed")
    consumers = [AIOKafkaConsumer(bootstrap_servers=rig.stack.bootstrap_servers, isolation_level=level) for level in levels]
    try:
        for consumer in consumers:
            await consumer.start()
        yield LogEnds(*consumers)
    finally:
        await asyncio.gather(*(consumer.stop() for consumer in consumers))


def changelog_partitions(rig: Rig) -> list[TopicPartition]:
    """Every transaction of the dispatcher writes its lane's partition of the changelog."""
    return [TopicPartition(topics.CHANGELOG, p) for p in range(rig.stack.settings.partitions)]


def transactional_partitions(rig: Rig) -> list[TopicPartition]:
    """All that the dispatcher writes to."""
    names = (topics.RESPONSES, topics.COSTS, topics.COST_TOTALS, *(topics.calls(p) for p in rig.fleet.spec.providers))
    plain = [TopicPartition(name, p) for name in names for p in range(rig.stack.settings.partitions)]
    return [*changelog_partitions(rig), *plain]


async def stop_within_transaction(rig: Rig, *, index: int = 0) -> int:
    """SIGSTOP of a dispatcher that has produced and not committed; the partition of its lane.

    Stops and lets go until it is so. Raises TimeoutError when that never comes about.
    """
    async with log_ends(rig) as ends:
        for _ in range(_MOST_TRIES):
            await rig.fleet.send("dispatch", signal.SIGSTOP, index=index)
            if held := await ends.stays_open(changelog_partitions(rig)):
                return held[0].partition
            await rig.fleet.send("dispatch", signal.SIGCONT, index=index)
            await asyncio.sleep(random.uniform(0.01, 0.1))
    raise TimeoutError(f"no open transaction in {_MOST_TRIES} stops")
