"""A real Kafka and a real Valkey for tests: one of each a session, on free ports, in a directory that goes away.

A conftest imports the fixtures: `from tests.fakes.stack import kafka, valkey  # noqa: F401`. Both are synchronous, so that
they do not depend on the event loop of any test; what they start is served by a loop in a thread of their own.
"""

import asyncio
import signal
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from schemas.errors import SettingsError
from streams.embedded.kafka import EmbeddedKafka, KafkaPlan
from streams.embedded.ports import free_port
from streams.embedded.readiness import poll
from streams.embedded.spawner import Process, Spawner
from streams.embedded.valkey import EmbeddedValkey, ValkeyPlan

T = TypeVar("T")

# Short timeouts are allowed, and the cleaner works at once: compaction then needs `segment.ms` on the topic alone.
FAST_BROKER: Mapping[str, str] = {
    "group.min.session.timeout.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "200",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.delete.retention.ms": "100",
}
_TRIES = 3  # another session may take a port between its choice and its use


class _Loop:
    """An event loop in a thread, for parts that live longer than the loop of one test."""

    def __enter__(self) -> "_Loop":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="embedded services", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class RunningKafka:
    """A broker under test. All methods block."""

    def __init__(self, loop: _Loop, broker: EmbeddedKafka) -> None:
        self._loop = loop
        self._broker = broker

    @property
    def bootstrap_servers(self) -> str:
        return self._broker.bootstrap_servers

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal; return once SIGKILL or SIGSTOP has had its effect."""

        async def send() -> None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                await self._process.exited
            if number == signal.SIGSTOP:
                await poll(self._is_stopped, every_s=0.01)

        self._loop.run(send())

    async def _is_stopped(self) -> bool:
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def start(self) -> None:
        """Start it again, on the same port and data."""
        self._loop.run(self._broker.start())

    def stop(self) -> None:
        self._loop.run(self._broker.stop())

    @property
    def _process(self) -> Process:
        assert self._broker.process is not None
        return self._broker.process


@contextmanager
def embedded_kafka(data_dir: Path | None = None, *, overrides: Mapping[str, str] | None = None) -> Iterator[RunningKafka]:
    """A broker of one's own, for tests that break it. `overrides` come on top of FAST_BROKER."""
    with _Loop() as loop, _directory(data_dir) as directory:
        services = AsyncExitStack()

        async def start() -> EmbeddedKafka:
            spawner = await services.enter_async_context(Spawner(log=directory / "leash.log"))
            for tries_left in reversed(range(_TRIES)):
                plan = KafkaPlan(
                    directory / "kafka",
                    port=free_port(),
                    log=directory / "kafka.log",
                    heap_mb=256,
                    overrides={**FAST_BROKER, **(overrides or {})},
                )
                broker = EmbeddedKafka(plan, spawner)
                try:
                    await broker.start()
                except SettingsError:
                    if not tries_left:
                        raise
                else:
                    services.push_async_callback(broker.stop)
                    return broker
            raise AssertionError("unreachable")

        try:
            yield RunningKafka(loop, loop.run(start()))
        finally:
            loop.run(services.aclose())


@contextmanager
def embedded_valkey(data_dir: Path | None = None) -> Iterator[str]:
    """The `redis://` address of a Valkey of one's own."""
    with _Loop() as loop, _directory(data_dir) as directory:
        services = AsyncExitStack()

        async def start() -> EmbeddedValkey:
            spawner = await services.enter_async_context(Spawner(log=directory / "leash.log"))
            server = EmbeddedValkey(ValkeyPlan(directory, port=free_port(), log=directory / "valkey.log"), spawner)
            await server.start()
            return server

        try:
            yield loop.run(start()).url
        finally:
            loop.run(services.aclose())


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="penstock-test-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


@pytest.fixture(scope="session")
def kafka() -> Iterator[RunningKafka]:
    """The broker that all tests of a session share: name topics and groups uniquely, and leave it running."""
    with embedded_kafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of the Valkey that all tests of a session share: prefix your keys."""
    with embedded_valkey() as url:
        yield url
