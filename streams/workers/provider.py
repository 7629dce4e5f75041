"""The role `calls:<provider>`: a Faust app that makes one provider's calls."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import structlog

from streams import topics
from streams.cancellations import Cancellations
from streams.faust_host import Host, each, host
from streams.runtime import Runtime
from streams.workers.admission import limits_of
from streams.workers.caller import Caller
from streams.workers.credentials import adapter_of, provider_of
from streams.workers.gates import Gates

log = structlog.get_logger(__name__)

BUFFERED_ORDERS = 1_000
"""Orders that wait in memory for a free place, each with its request inside; the rest of a backlog waits in Kafka."""
COMMIT_S = 0.2
"""What was reported and not yet committed when a worker dies is called again: a fifth of a second of calls at most."""


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Call until `stop`, then drain: calls in flight get `settings.drain_timeout_s`, the rest are cancelled and reported so.

    Raises SettingsError when the provider or its key is missing, HostFailed when the app failed.
    """
    provider = provider_of(runtime.role, runtime.catalogue)
    deployments = runtime.catalogue.of_provider(provider.name)
    gates, share = Gates(deployments), Share(await runtime.publisher.partitions(topics.calls(provider.name)))
    limits = limits_of(deployments, runtime.settings.redis_url, share.part)
    adapter = adapter_of(provider, runtime.settings, os.environ, connections=gates.bound)
    cancellations = Cancellations(runtime)
    worker = f"{socket.gethostname()}-{os.getpid()}"
    caller = Caller(runtime, adapter, gates, limits, worker=worker, cancelled=cancellations.include)
    cancellations.on_cancelled(caller.cancel)
    app = share.host = _app(runtime, provider.name, caller, gates)
    try:
        async with cancellations.following(), app.running():
            ready()
            await stop.wait()
            late = await caller.drain(runtime.settings.drain_timeout_s)
            log.info("worker_drained", provider=provider.name, cancelled=late)
    finally:
        await adapter.close()
        await limits.close()


class Share:
    """The part of a provider's orders that this process reads: of the partitions of their topic, its own."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.host: Host | None = None

    def part(self) -> float:
        """In (0, 1]: who reads none has at most some orders left from before."""
        mine = len(self.host.consumer.assignment()) if self.host is not None else 0
        return max(1, mine) / self._partitions


def _app(runtime: Runtime, provider: str, caller: Caller, gates: Gates) -> Host:
    settings = runtime.settings
    app = host(
        settings.group(f"calls:{provider}"),
        bootstrap_servers=runtime.bootstrap_servers,
        security=settings.kafka_security(),
        session_timeout_ms=settings.session_timeout_ms,
        commit_interval_s=COMMIT_S,
        buffer_records=BUFFERED_ORDERS,
        max_poll_records=BUFFERED_ORDERS // 5,
        drain_timeout_s=0.1,  # the calls have drained before; what is left stays in the log
    )

    @app.agent(topics.calls(provider), name="calls")
    async def calls(stream: Any) -> None:
        await each(stream, caller.handle, concurrency=gates.admitted)

    return app
