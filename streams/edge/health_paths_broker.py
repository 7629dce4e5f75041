"""Whether Kafka answers: asked at most once in two seconds a process, however often somebody wants to know."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import topics
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_FRESH_S = 2.0
_WITHIN_S = 2.0


class Broker:
    """Asks for the metadata of ai.requests, over one connection that is opened with the first question."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._admin: AIOKafkaAdminClient | None = None
        self._turn = asyncio.Lock()
        self._asked_s = float("-inf")
        self._answers = False

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Broker"]:
        try:
            yield self
        finally:
            await self._close()

    async def answers(self) -> bool:
        """Whether it did just now, or within the last two seconds."""
        async with self._turn:
            if time.monotonic() - self._asked_s > _FRESH_S:
                self._answers = await self._ask()
                self._asked_s = time.monotonic()
            return self._answers

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(_WITHIN_S):
                admin = await self._connected()
                (found,) = await admin.describe_topics([topics.REQUESTS])
                return int(found["error_code"]) == 0
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("edge_broker_away", error=type(error).__name__, next_step="check the broker")
            await self._close()
            return False

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            settings = self._runtime.settings
            admin = AIOKafkaAdminClient(
                bootstrap_servers=self._runtime.bootstrap_servers,
                client_id=f"{settings.app}-{self._runtime.role}-ready",
                **settings.kafka_security(),
            )
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _close(self) -> None:
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()
