"""Carries out batches: every process of the edge is a member of a group that shares out the partitions of ai.batches.

Errors of Kafka end a membership, never the edge: it is joined again after a pause, and the log says how far every batch has come.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams import topics
from streams.edge.batch_answers import BatchAnswers
from streams.edge.batch_run import Means
from streams.edge.batch_shard import Shard
from streams.edge.files_log import FileLog
from streams.edge.principal import Refused
from streams.group_consumer import group_consumer
from streams.leaving import leave
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_REJOIN_FIRST_S = 0.5
_REJOIN_CAP_S = 10.0
_QUIET_S = 30.0
"""A membership that lasted this long starts again without the longer pause."""


@contextlib.asynccontextmanager
async def driving(runtime: Runtime, files: FileLog) -> AsyncIterator[None]:
    """Carry batches out in the background."""
    task = asyncio.create_task(_stay(runtime, files), name="batches")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _stay(runtime: Runtime, files: FileLog) -> None:
    """One membership after the other."""
    pause_s, loop = _REJOIN_FIRST_S, asyncio.get_running_loop()
    while True:
        joined_at = loop.time()
        try:
            await _Membership(runtime, files).run()
        except (KafkaError, Refused, TimeoutError) as error:
            log.warning("batches_rejoin", error=repr(error), pause_s=pause_s)
        except Exception:
            log.exception("batches_rejoin", pause_s=pause_s, next_step="this is a defect, report it")
        if loop.time() - joined_at > _QUIET_S:
            pause_s = _REJOIN_FIRST_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _REJOIN_CAP_S)


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """One stay in the group."""

    def __init__(self, runtime: Runtime, files: FileLog) -> None:
        self._answers = BatchAnswers(runtime)
        self._means = Means(runtime, files, self._answers)
        self._consumer = group_consumer(runtime, "edge", client_id=f"{runtime.settings.app}-{runtime.role}-batches")
        self._shards: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Until something fails."""
        reading = asyncio.create_task(self._answers.read(), name="batch answers")
        reading.add_done_callback(self._ended)
        try:
            await self._consumer.start()
            self._consumer.subscribe([topics.BATCHES], listener=self)
            await self._failed
        finally:
            reading.cancel()
            await self._stop_shards()
            await asyncio.gather(reading, return_exceptions=True)
            await leave(self._consumer)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all are given out anew
        await self._stop_shards()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = sorted(place.partition for place in assigned)
        log.info("batches_assigned", partitions=partitions)
        for partition in partitions:
            task = asyncio.create_task(Shard(partition, self._consumer, self._means).run(), name=f"batches-{partition}")
            self._shards.add(task)
            task.add_done_callback(self._ended)

    async def _stop_shards(self) -> None:
        shards, self._shards = self._shards, set()
        for task in shards:
            task.cancel()
        await asyncio.gather(*shards, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._failed.done() or (error := task.exception()) is None:
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._failed.set_exception(error)
