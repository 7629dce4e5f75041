"""The role `calls:<provider>`: a Faust app that makes one provider's calls."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import structlog

from streams import topics
from streams.faust_host import Host, each, host
from streams.runtime import Runtime
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
    gates = Gates(runtime.catalogue.of_provider(provider.name))
    adapter = adapter_of(provider, runtime.settings, os.environ, connections=gates.bound)
    caller = Caller(runtime, adapter, gates, worker=f"{socket.gethostname()}-{os.getpid()}")
    app = _app(runtime, provider.name, caller, gates)
    try:
        async with app.running():
            ready()
            await stop.wait()
            late = await caller.drain(runtime.settings.drain_timeout_s)
            log.info("worker_drained", provider=provider.name, cancelled=late)
    finally:
        await adapter.close()


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
