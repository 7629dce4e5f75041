"""Who of several processes acts: the one that holds the single partition of ai.health in its consumer group."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from streams import topics
from streams.runtime import Runtime

log = structlog.get_logger(__name__)


class Lead(ConsumerRebalanceListener):
    """`gained` is set while this process holds the lead, `lost` while it does not."""

    def __init__(self) -> None:
        self.gained = asyncio.Event()
        self.lost = asyncio.Event()
        self.lost.set()
        self._consumer: Any = None

    def of(self, consumer: Any) -> None:
        self._consumer = consumer

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        self._change(held=False)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        held = list(assigned)
        # Holding it is all that is wanted of it: what stands in it is followed without the group, from further back.
        self._consumer.pause(*held)
        self._change(held=bool(held))

    def _change(self, *, held: bool) -> None:
        if held != self.gained.is_set():
            log.info("health_lead", held=held)
        set_, clear = (self.gained, self.lost) if held else (self.lost, self.gained)
        clear.clear()
        set_.set()


@asynccontextmanager
async def lead(runtime: Runtime) -> AsyncIterator[Lead]:
    """A member of the role's group; another takes over when this one ends, or is silent for a session's time."""
    settings = runtime.settings
    consumer = AIOKafkaConsumer(
        bootstrap_servers=runtime.bootstrap_servers,
        client_id=f"{settings.app}-{runtime.role}-lead",
        group_id=settings.group(runtime.role),
        enable_auto_commit=False,
        auto_offset_reset="latest",
        session_timeout_ms=settings.session_timeout_ms,
        heartbeat_interval_ms=min(3_000, settings.session_timeout_ms // 3),
        max_poll_interval_ms=2**31 - 1,  # nothing is polled
        **settings.kafka_security(),
    )
    held = Lead()
    held.of(consumer)
    consumer.subscribe([topics.HEALTH], listener=held)
    await consumer.start()
    try:
        yield held
    finally:
        await consumer.stop()
