"""The health of all deployments, as this process knows it: a follower of ai.health, without a group, whole in every process."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.health.fold import UNKNOWN, DeploymentHealth, fold
from schemas.errors import RecordError
from schemas.health import HealthEvent
from streams import topics
from streams.registry import Newcomers
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

LOOK_BACK_S = 300.0
"""Circuits open for a minute at most: five tell all that still matters."""
_CATCH_UP_S = 5.0
_POLL_MS = 1_000
_RETRY_S = 2.0


class HealthView:
    """`deployments` is the latest; it changes in place as events arrive."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._codec = runtime.serde.of(HealthEvent)
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self._deployments: dict[str, DeploymentHealth] = {}
        self._caught_up = asyncio.Event()
        self.unreadable = 0

    @property
    def deployments(self) -> Mapping[str, DeploymentHealth]:
        return self._deployments

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["HealthView"]:
        """Follow in the background; in the body the view has caught up, unless Kafka took longer than five seconds."""
        task = asyncio.create_task(self._follow_for_ever(), name="health view")
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._caught_up.wait(), _CATCH_UP_S)
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                await self._follow()
            except KafkaError as error:
                log.warning("health_view_interrupted", error=type(error).__name__, next_step="it is retried; check the broker")
            except Exception:
                # Routing goes on with what is known: health is advice, and the dispatcher has circuits of its own.
                log.exception("health_view_interrupted", next_step="it is retried; this is a defect, report it")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        settings = self._runtime.settings
        # Without a group a consumer takes all partitions of its topics.
        consumer = AIOKafkaConsumer(
            topics.HEALTH,
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-health",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            # A fifth of a second is soon enough for a circuit, and spares a fetch for every call.
            fetch_min_bytes=64 * 1024,
            fetch_max_wait_ms=200,
            **settings.kafka_security(),
        )
        await consumer.start()
        try:
            await self._read(consumer)
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any) -> None:
        while not (partitions := sorted(consumer.assignment())):  # noqa: ASYNC110 - aiokafka tells nobody when it has them
            await asyncio.sleep(0.05)
        since_ms = int((time.time() - LOOK_BACK_S) * 1000)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ends = await consumer.end_offsets(partitions)
        self._deployments.clear()
        for partition in partitions:
            found = starts.get(partition)
            consumer.seek(partition, ends[partition] if found is None else found.offset)
        while True:
            if not self._caught_up.is_set() and await _reached(consumer, ends):
                self._caught_up.set()
            fetched = await consumer.getmany(timeout_ms=_POLL_MS if self._caught_up.is_set() else 50)
            for records in fetched.values():
                await self._newcomers.meet(record.value for record in records)
                for record in records:
                    self._apply(record.value)

    def _apply(self, value: bytes | None) -> None:
        try:
            event = self._codec.decode(value)
        except RecordError as error:
            self.unreadable += 1
            log.warning("health_event_unreadable", reason=error.reason)
            return
        self._deployments[event.deployment] = fold(self._deployments.get(event.deployment, UNKNOWN), event)


async def _reached(consumer: Any, ends: Mapping[TopicPartition, int]) -> bool:
    positions = [(await consumer.position(partition), end) for partition, end in ends.items()]
    return all(position >= end for position, end in positions)
