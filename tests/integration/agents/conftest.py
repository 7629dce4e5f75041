"""A real Kafka and a real Valkey; every test has its own tenant, group and Valkey keys (by tenant)."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from schemas.serde import Serde
from streams.bootstrap import create_topics
from streams.catalogue import load_catalogue
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from tests.fakes.stack import RunningKafka, kafka, valkey  # noqa: F401 - fixtures

Role = Callable[[Runtime, asyncio.Event, Callable[[], None]], Awaitable[None]]
WAIT_S = 60.0


@pytest.fixture
def settings(kafka: RunningKafka, valkey: str) -> Settings:  # noqa: F811 - pytest's way
    return Settings(
        _env_file=None,
        app=f"test-{uuid.uuid4().hex[:12]}",
        bootstrap_servers=kafka.bootstrap_servers,
        redis_url=valkey,
        simulator_url="http://127.0.0.1:1",
        session_timeout_ms=6_000,
        cache_timeout_ms=1_000,
    )


@pytest.fixture
async def topics_made(settings: Settings) -> None:
    await create_topics(settings, load_catalogue(settings).providers)


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def running(role: Role, settings: Settings, name: str) -> AsyncIterator[Runtime]:
    """The role in this process, from ready to stopped; what ends it early is raised here."""
    stop, ready = asyncio.Event(), asyncio.Event()
    async with open_runtime(settings, name) as runtime:
        task = asyncio.ensure_future(role(runtime, stop, ready.set))
        waiting = asyncio.ensure_future(ready.wait())
        try:
            await asyncio.wait({task, waiting}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            assert ready.is_set() or task.result(), f"{name} was not ready within {WAIT_S} s"
            yield runtime
        finally:
            waiting.cancel()
            stop.set()
            await asyncio.wait_for(task, WAIT_S)


async def attempts(*, pause_s: float = 0.1) -> AsyncIterator[int]:
    """0, 1, 2 …, a pause between them, until `WAIT_S` have passed: for what another part is to notice in its own time."""
    loop = asyncio.get_running_loop()
    attempt, give_up = 0, loop.time() + WAIT_S
    while loop.time() < give_up:
        yield attempt
        attempt += 1
        await asyncio.sleep(pause_s)


@dataclass
class Found:
    key: str
    partition: int
    value: bytes
    record: Any  # decoded


class Log:
    """Reads topics from their beginning, without a group."""

    def __init__(self, settings: Settings, serde: Serde) -> None:
        self._settings = settings
        self._serde = serde

    async def read(
        self, topic: str, record_type: type[Any], *, where: Callable[[Any], bool], count: int, settle_s: float = 0.0
    ) -> list[Found]:
        """The first `count` records that satisfy `where`, and any that follow within `settle_s`; fails when they do not come."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self._settings.bootstrap_servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            found: list[Found] = []
            settling = False
            loop = asyncio.get_running_loop()
            deadline = loop.time() + WAIT_S
            while loop.time() < deadline:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    for raw in records:
                        record = self._serde.of(record_type).decode(raw.value)
                        if where(record):
                            found.append(Found(raw.key.decode(), raw.partition, raw.value, record))
                if len(found) >= count and not settling:
                    settling, deadline = True, loop.time() + settle_s
            assert len(found) >= count, f"{len(found)} of {count} records came on {topic}"
            return found
        finally:
            await consumer.stop()


async def publish(runtime: Runtime, records: Iterable[Outgoing]) -> None:
    await runtime.publisher.send_all(tuple(records))
