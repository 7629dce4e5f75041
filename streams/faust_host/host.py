"""A Faust app with its life: start, readiness, a stop that finishes what was begun, and a loud end when an agent fails."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from faust.exceptions import ConsumerNotStarted

from streams.faust_host.app import App
from streams.faust_host.consumer import Consumer
from streams.faust_host.options import HostOptions
from streams.faust_host.tables import CompactedTable

log = logging.getLogger(__name__)

STOP_S = 6.0
"""For cancelled work to report, for the last commit, and for leaving the group."""

AgentFunction = Callable[[Any], Awaitable[None]]


class HostFailed(Exception):
    """The app ended because an agent or a service of it failed; the cause is chained. The process must exit, not go on."""


class Host:
    """`app` is the Faust app itself, for all that Faust offers: timers, tables, more agents."""

    def __init__(self, options: HostOptions) -> None:
        self.options = options
        self.app = App(options)
        self._stop_asked = asyncio.Event()

    @property
    def consumer(self) -> Consumer:
        consumer: Consumer = self.app.consumer
        return consumer

    def topic(self, name: str) -> Any:
        """A topic of raw bytes."""
        return self.app.topic(name)

    def agent(self, topic: str, *, name: str) -> Callable[[AgentFunction], Any]:
        """Declare a Faust agent on a topic of raw bytes. `name` is written by hand: Faust would take it from the module path."""
        declare: Callable[[AgentFunction], Any] = self.app.agent(self.topic(topic), name=name)
        return declare

    def table(self, name: str, topic: str) -> Any:
        """A Faust table of raw bytes by raw keys: the newest record of every key of a compacted topic, in every instance.

        Others write the topic, in absolute values; the table is a cache of it. Declare it before the start.
        """
        return self.app.tables.add(CompactedTable(self.app, name=name, topic=topic))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start; in the body the app has its partitions and consumes. On leaving: drain, commit, leave the group.

        Raises HostFailed when the app failed, be it at the start or in the body. The body is cancelled then.
        """
        body = asyncio.current_task()
        assert body is not None  # noqa: S101 - a coroutine always runs in a task
        watch: asyncio.Task[None] | None = None
        try:
            await self._start()
            watch = asyncio.create_task(self._cancel_on_crash(body))
            yield
        except asyncio.CancelledError:
            if not self.app.crashed:
                raise
            body.uncancel()
        finally:
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            await self._stop()
        self._raise_if_crashed()

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Run until SIGTERM, SIGINT or `request_stop`, then stop as `running` does. Raises HostFailed."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        try:
            async with self.running():
                if on_ready is not None and not self._stop_asked.is_set():
                    on_ready()
                await self._stop_asked.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def request_stop(self) -> None:
        """End `run`, in order."""
        self._stop_asked.set()

    async def _start(self) -> None:
        # Faust's start waits for the first assignment, and would wait on when the app has crashed or is to stop.
        starting = asyncio.ensure_future(self.app.start())
        others = [asyncio.ensure_future(event.wait()) for event in (self.app.failed, self._stop_asked)]
        try:
            await asyncio.wait({starting, *others}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            self._raise_if_crashed()
        finally:
            for task in (starting, *others):
                task.cancel()
            await asyncio.gather(starting, *others, return_exceptions=True)

    async def _cancel_on_crash(self, body: "asyncio.Task[Any]") -> None:
        await self.app.failed.wait()
        body.cancel()

    async def _stop(self) -> None:
        with contextlib.suppress(ConsumerNotStarted):
            self.consumer.assignment()
            if not self.app.crashed and not await self.consumer.drain(self.options.drain_timeout_s):
                log.warning("%s: stopping with events in work after %s s", self.options.group, self.options.drain_timeout_s)
        try:
            await asyncio.wait_for(self.app.stop(), STOP_S)
        except TimeoutError:
            log.warning("%s: the app did not stop within %s s; what was in work comes again", self.options.group, STOP_S)

    def _raise_if_crashed(self) -> None:
        if self.app.crashed:
            reason = self.app.crash_reason
            raise HostFailed(f"{self.options.group} failed: {reason!r}") from reason


def host(name: str, *, bootstrap_servers: str, client_id: str | None = None, **options: Any) -> Host:
    """A host for the consumer group `name`. Further options are those of HostOptions, by name."""
    return Host(HostOptions(group=name, client_id=client_id or name, bootstrap_servers=bootstrap_servers, **options))
