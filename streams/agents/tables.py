"""Role `tables`: what is held of the log for readers: the cost totals, and the answers' cache."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import structlog

from streams import topics
from streams.agents.cache_fill import open_fill
from streams.agents.cost_table import CostTable
from streams.faust_host import batches, host
from streams.runtime import Runtime
from streams.stores.valkey_cache import open_cache

log = structlog.get_logger(__name__)

_BATCH = 256
_FETCH_BYTES = 64 * 1024
_FETCH_WAIT_MS = 100
"""What is held here is read a moment later anyway; a fetch for every single record would cost the broker more than the record."""


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Consume until `stop`. Raises HostFailed when an agent failed, SettingsError for a setting that cannot work."""
    settings = runtime.settings
    async with open_cache(settings, runtime.serde) as cache:
        fill = open_fill(runtime, cache)
        app = host(
            settings.group("tables"),
            bootstrap_servers=runtime.bootstrap_servers,
            security=settings.kafka_security(),
            session_timeout_ms=settings.session_timeout_ms,
            drain_timeout_s=settings.drain_timeout_s,
            fetch_min_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )

        costs = CostTable(app, runtime.serde)

        @app.agent(topics.RESPONSES, name="cache-fill")
        async def cache_fill_agent(stream: Any) -> None:
            await batches(stream, fill.handle, max_records=_BATCH)

        async with app.running():
            log.info("cost_table_recovered", totals=len(costs))
            ready()
            await stop.wait()
        log.info("cache_counts", **asdict(cache.counts))
