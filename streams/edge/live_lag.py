"""How far the consumer groups are behind, asked of the broker every few seconds while somebody watches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.live.lag import ours, rows
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

EVERY_S = 5.0
_RETRY_S = 10.0


class Lags:
    """`rows` is the latest; None as long as the broker has not answered, and once it does not answer any more."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.rows: list[dict[str, Any]] | None = None

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._ask_for_ever(), name="live lag")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ask_for_ever(self) -> None:
        while True:
            try:
                await self._ask()
            except KafkaError as error:
                self.rows = None
                told = {"error": type(error).__name__, "next_step": "it is retried; this user needs Describe on the groups"}
                log.warning("edge_lag_unknown", **told)
            except Exception:
                self.rows = None
                log.exception("edge_lag_unknown", next_step="it is retried; this is a defect, report it")
            await asyncio.sleep(_RETRY_S)

    async def _ask(self) -> None:
        settings = self._runtime.settings
        client: dict[str, Any] = {
            "bootstrap_servers": self._runtime.bootstrap_servers,
            "client_id": f"{settings.app}-{self._runtime.role}-lag",
            **settings.kafka_security(),
        }
        async with contextlib.AsyncExitStack() as closing:
            admin, consumer = AIOKafkaAdminClient(**client), AIOKafkaConsumer(**client)
            closing.push_async_callback(admin.close)
            closing.push_async_callback(consumer.stop)
            await admin.start()
            await consumer.start()
            while True:
                self.rows = await _rows(admin, consumer, settings.app)
                await asyncio.sleep(EVERY_S)


async def _rows(admin: Any, consumer: Any, app: str) -> list[dict[str, Any]]:
    groups = ours([name for name, *_ in await admin.list_consumer_groups()], app)
    committed: dict[str, dict[TopicPartition, int]] = {}
    for group in groups:
        found = await admin.list_consumer_group_offsets(group)
        committed[group] = {place: at.offset for place, at in found.items() if at.offset >= 0}
    read = {place.topic for offsets in committed.values() for place in offsets}
    described = await admin.describe_topics(sorted(read)) if read else []
    places = [TopicPartition(topic["topic"], each["partition"]) for topic in described for each in topic["partitions"]]
    ends, begins = await asyncio.gather(consumer.end_offsets(places), consumer.beginning_offsets(places))
    return rows(committed, ends, begins, {place: place.topic for place in places})
