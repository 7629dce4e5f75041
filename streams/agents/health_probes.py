"""Asks the providers of idle deployments whether they are there: once a fleet, through the adapters' own sessions."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from processors.health.fold import DeploymentHealth
from processors.health.probing import Pace, answered, due
from processors.providers.contract import Adapter
from schemas.calls import Failure
from schemas.deployments import Deployment
from schemas.errors import SettingsError
from schemas.health import HealthEvent, RateLimits
from streams import clock, topics
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.workers.credentials import adapter_of

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0
_CONNECTIONS = 2


class Prober:
    """`asked` counts the questions. Adapters are built when they are first needed: a provider with traffic costs nothing."""

    def __init__(self, runtime: Runtime, deployments: Sequence[Deployment]) -> None:
        settings = runtime.settings
        self.asked = 0
        self._runtime = runtime
        self._deployments = tuple(deployments)
        self._pace = Pace(timedelta(seconds=settings.probe_after_s), timedelta(seconds=settings.probe_every_s))
        self._codec = runtime.serde.of(HealthEvent)
        self._worker = f"{socket.gethostname()}-{os.getpid()}"
        self._adapters: dict[str, Adapter] = {}
        self._asked_at: dict[str, datetime] = {}

    async def probe(self, health: Mapping[str, DeploymentHealth]) -> None:
        """Ask whoever is due, side by side, and publish what they said."""
        now = clock.now()
        found = due(self._deployments, health, self._asked_at, self._pace, now=now)
        if not found:
            return
        self._asked_at |= dict.fromkeys(found, now)
        # An SDK takes a second or more to import: meanwhile the group must go on hearing from us.
        await asyncio.to_thread(self._build, [provider for provider in found if provider not in self._adapters])
        asked = [self._ask(self._adapters[provider], idle) for provider, idle in found.items() if provider in self._adapters]
        events = await asyncio.gather(*asked)
        records = [Outgoing(topics.HEALTH, e.deployment, self._codec.encode(e)) for some in events for e in some]
        await self._runtime.publisher.send_all(records)

    async def close(self) -> None:
        await asyncio.gather(*(adapter.close() for adapter in tuple(self._adapters.values())))

    async def _ask(self, adapter: Adapter, idle: Sequence[Deployment]) -> list[HealthEvent]:
        self.asked += 1
        begun = time.perf_counter()
        found = await adapter.probe(timeout_s=TIMEOUT_S)
        latency_ms = round((time.perf_counter() - begun) * 1000)
        now = clock.now()
        events = [self._event(d, found, now, latency_ms) for d in idle]
        if isinstance(found, Failure):
            log.info("probe_failed", provider=idle[0].provider, kind=found.kind.value, tells=any(events), message=found.message)
        return [event for event in events if event is not None]

    def _event(
        self, deployment: Deployment, found: RateLimits | Failure | None, now: datetime, latency_ms: int
    ) -> HealthEvent | None:
        return answered(deployment, found, worker=self._worker, now=now, latency_ms=latency_ms)

    def _build(self, providers: Sequence[str]) -> None:
        settings, catalogue = self._runtime.settings, self._runtime.catalogue
        for provider in providers:
            try:
                adapter = adapter_of(catalogue.providers[provider], settings, os.environ, connections=_CONNECTIONS)
            except SettingsError as error:
                log.warning("provider_not_probed", provider=provider, reason=str(error))
            else:
                self._adapters[provider] = adapter
