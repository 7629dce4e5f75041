"""A real Kafka and a real simulator. Every test has a Kafka namespace of its own: providers and deployments by another name."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.health import AlertRaised, HealthEvent, HealthOutcome
from streams import clock, topics
from streams.agents import health as role
from streams.agents.health_view import HealthView
from streams.beginning import Beginning
from streams.bootstrap import create_topics
from streams.catalogue import load_catalogue
from streams.cli.reading import open_reader
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from streams.simulator.profiles import Profile, Profiles
from streams.simulator.running import Running, serve
from streams.simulator.settings import SimulatorSettings
from tests.fakes.stack import RunningKafka, kafka  # noqa: F401 - a fixture

WAIT_S = 60.0
CATALOGUE = """
version: test
providers:
  {name}: {{kind: openai, address: "https://api.example.com/v1", key_env: A_KEY_THAT_IS_NOT_SET}}
deployments:
  - {{provider: {name}, model: busy}}
  - {{provider: {name}, model: idle}}
"""


async def until(holds: Callable[[], bool | Awaitable[bool]], *, within_s: float = WAIT_S) -> None:
    """Return when it holds; fail when it does not within this time."""
    async with asyncio.timeout(within_s):
        while not (found if isinstance(found := holds(), bool) else await found):  # noqa: ASYNC110 - what is waited for is in Kafka
            await asyncio.sleep(0.05)


@dataclass
class Fleet:
    """One catalogue's processes, as tasks of this one."""

    settings: Settings
    provider: str
    runtime: Runtime
    simulator: Running

    @property
    def busy(self) -> str:
        return f"{self.provider}/busy"

    @property
    def idle(self) -> str:
        return f"{self.provider}/idle"

    def event(self, deployment: str, **fields: Any) -> HealthEvent:
        made: dict[str, Any] = {
            "worker": "w1", "in_flight": 1, "observed_at": clock.now(), "call_id": str(uuid.uuid4()), "latency_ms": 100,
            "outcome": HealthOutcome.FAILURE if "failure_kind" in fields else HealthOutcome.SUCCESS,
        }  # fmt: skip
        return HealthEvent(deployment, self.provider, deployment.partition("/")[2], **(made | fields))

    async def publish(self, *events: HealthEvent) -> None:
        codec = self.runtime.serde.of(HealthEvent)
        await self.runtime.publisher.send_all([Outgoing(topics.HEALTH, e.deployment, codec.encode(e)) for e in events])

    async def fail(self, deployment: str, kind: str, count: int) -> None:
        await self.publish(*(self.event(deployment, failure_kind=kind) for _ in range(count)))

    def view(self) -> HealthView:
        return HealthView(self.runtime)

    @asynccontextmanager
    async def watching(self, members: int = 1) -> AsyncIterator[list["asyncio.Task[None]"]]:
        """The role, as often as `members` says; ends in order those that were not ended before."""
        stop = asyncio.Event()
        async with AsyncExitStack() as stack:
            tasks, ready = [], []
            for _ in range(members):
                runtime = await stack.enter_async_context(open_runtime(self.settings, role.NAME))
                ready.append(asyncio.Event())
                tasks.append(asyncio.create_task(role.run(runtime, stop, ready[-1].set)))
            await asyncio.gather(*(asyncio.wait_for(event.wait(), WAIT_S) for event in ready))
            try:
                yield tasks
            finally:
                stop.set()
                await asyncio.wait_for(asyncio.gather(*(task for task in tasks if not task.done())), WAIT_S)

    async def read(self, topic: str, record: type[Any]) -> list[Any]:
        """All that is about this fleet's deployments in the topic."""
        codec = self.runtime.serde.of(record)
        async with open_reader(self.settings, [topic]) as reader:
            ends = await reader.ends()
            await reader.seek(Beginning())
            found = [codec.decode(r.value) async for r in reader.until(ends)]
        return [r for r in found if self.provider in getattr(r, "subject", getattr(r, "deployment", ""))]

    async def alerts(self) -> list[tuple[str, str, str]]:
        return [(a.kind, a.subject.partition("/")[2], a.state.value) for a in await self.read(topics.ALERTS, AlertRaised)]

    async def probes(self) -> list[HealthEvent]:
        return [e for e in await self.read(topics.HEALTH, HealthEvent) if e.probe]


@pytest.fixture
async def fleet(kafka: RunningKafka, tmp_path: Path) -> AsyncIterator[Fleet]:  # noqa: F811 - pytest's way
    name = f"p{uuid.uuid4().hex[:8]}"
    deployments = tmp_path / "deployments.yaml"
    deployments.write_text(CATALOGUE.format(name=name))
    simulator = await serve(SimulatorSettings(port=0, call_log=None, profiles=Profiles(default=Profile())))
    settings = Settings(
        _env_file=None,
        app=f"test-{name}",
        bootstrap_servers=kafka.bootstrap_servers,
        deployments_file=deployments,
        simulator_url=simulator.url,
        session_timeout_ms=6_000,
        probe_after_s=timedelta(hours=1).total_seconds(),
    )
    try:
        await create_topics(settings, load_catalogue(settings).providers)
        async with open_runtime(settings, role.NAME) as runtime:
            yield Fleet(settings, name, runtime, simulator)
    finally:
        await simulator.close()
