"""Role `health`: raises and resolves alerts, and probes idle deployments. Of several processes one acts, the others stand by."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from processors.health.alerts import Seen, judge
from schemas.health import AlertRaised
from streams import clock, topics
from streams.agents.accuracy import Accuracy
from streams.agents.health_lead import Lead, lead
from streams.agents.health_log import HealthLog
from streams.agents.health_probes import Prober
from streams.agents.health_view import HealthView
from streams.catalogue import callable_deployments
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

NAME = "health"
LOOK_BACK_S = 900.0
"""Three times as long as a deployment must be down to be told: who takes over has seen when it went down."""
_EVERY_S = 1.0
_RETRY_S = 2.0


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Stand by or act until `stop`. Raises SettingsError for a setting that cannot work."""
    async with lead(runtime) as held:
        ready()
        while not stop.is_set():
            await _first(held.gained.wait(), stop.wait())
            if not stop.is_set():
                await _act(runtime, held, stop)


async def _act(runtime: Runtime, held: Lead, stop: asyncio.Event) -> None:
    """Watch until the lead is lost. A broker's trouble starts it over: what stands is read from the log again."""
    try:
        await _first(watch(runtime), held.lost.wait(), stop.wait())
    except KafkaError as error:
        log.warning("health_interrupted", error=type(error).__name__, next_step="it is retried; check the broker")
        await _first(stop.wait(), asyncio.sleep(_RETRY_S))


async def watch(runtime: Runtime) -> None:
    """Judge and probe once a second, for ever. Raises KafkaError when what came of it cannot be written."""
    deployments = callable_deployments(runtime.catalogue, runtime.settings, os.environ)
    prober = Prober(runtime, deployments)
    async with (
        HealthView(runtime, look_back_s=LOOK_BACK_S).following() as view,
        HealthLog(runtime).following() as told,
        Accuracy(runtime).following(),
    ):
        probing: asyncio.Task[None] | None = None
        try:
            while True:
                if view.caught_up and told.caught_up:
                    await alert(runtime, view, told)
                    if probing is None or probing.done():
                        if probing is not None:
                            probing.result()
                        # Beside the alerts, which a provider that does not answer must not hold up.
                        probing = asyncio.create_task(prober.probe(view.deployments), name="probes")
                await asyncio.sleep(_EVERY_S)
        finally:
            if probing is not None:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
            await prober.close()


async def alert(runtime: Runtime, view: HealthView, told: HealthLog) -> None:
    """Write what is to be told now. Returns when the broker has it, so that it is not told again."""
    names = frozenset(d.name for d in runtime.catalogue.deployments)
    seen = Seen(names, view.deployments, told.unpriced, told.dead_letters, told.given_up)
    alerts = judge(seen, told.raised, now=clock.now())
    codec = runtime.serde.of(AlertRaised)
    await runtime.publisher.send_all(Outgoing(topics.ALERTS, f"{a.kind}/{a.subject}", codec.encode(a)) for a in alerts)
    for a in alerts:
        log.warning("alert", kind=a.kind, subject=a.subject, state=a.state.value, message=a.message, next_step=a.next_step)
        told.take(a)


async def _first(*works: Coroutine[Any, Any, Any]) -> None:
    """Run side by side until the first is done, cancel the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
