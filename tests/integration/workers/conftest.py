"""A real Kafka and a real simulator. Every test has a provider, a tenant and a group of its own, and so topics of its own."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from schemas.calls import CallOrdered, CallReported
from schemas.health import HealthEvent
from schemas.outcomes import ResponseChunk
from schemas.requests import InferenceRequest, Message, Operation
from schemas.serde import Serde
from streams import clock, topics
from streams.bootstrap import create_topics
from streams.catalogue import load_catalogue
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from streams.simulator.call_log import Call, read
from streams.simulator.profile_text import parse_option, with_rule
from streams.simulator.profiles import Latency, Profile, Profiles
from streams.simulator.running import Running, serve
from streams.simulator.settings import SimulatorSettings
from streams.workers import provider as worker
from tests.fakes.stack import RunningKafka, kafka, valkey  # noqa: F401 - fixtures

WAIT_S = 60.0
TYPES = {topics.ATTEMPTS: CallReported, topics.CHUNKS: ResponseChunk, topics.HEALTH: HealthEvent}


@dataclass
class Bench:
    """One provider's worker and what surrounds it."""

    settings: Settings
    provider: str
    tenant: str
    call_log: Path
    kind: str = "openai"
    simulator: Running | None = None
    running: dict[str, Any] = field(default_factory=dict)

    @property
    def role(self) -> str:
        return f"calls:{self.provider}"

    @property
    def topic(self) -> str:
        return topics.calls(self.provider)

    async def simulate(self, *faults: str, first_token_ms: float = 0.0, per_token_ms: float = 0.0) -> None:
        """Start the simulator, or give the running one other faults and latencies."""
        profiles = Profiles(default=Profile(first_token_ms=Latency(first_token_ms), per_token_ms=Latency(per_token_ms)))
        for fault in faults:
            profiles = with_rule(profiles, *parse_option(f"{self.provider}={fault}"))
        if self.simulator is not None:
            await self.simulator.close()
        port = self.simulator.port if self.simulator is not None else 0
        self.simulator = await serve(SimulatorSettings(port=port, call_log=self.call_log, profiles=profiles))
        self.settings = self.settings.model_copy(update={"simulator_url": self.simulator.url})

    def order(self, request_id: str, *, text: str = "Hello", **fields: Any) -> CallOrdered:
        now = clock.now()
        made = CallOrdered(
            request_id=request_id,
            attempt=1,
            tenant=self.tenant,
            lane=f"{self.tenant}#{len(request_id) % 3}",
            deployment=f"{self.provider}/m",
            provider=self.provider,
            model="m",
            operation=Operation.CHAT,
            request=b"",
            input_tokens_estimate=20,
            output_tokens_bound=100,
            stream=False,
            timeout_ms=30_000,
            ordered_at=now,
            deadline=now + timedelta(seconds=60),
        )
        return replace(made, **fields)

    async def publish(self, runtime: Runtime, *orders: CallOrdered, text: str = "Hello") -> None:
        records = []
        for order in orders:
            request = InferenceRequest(
                order.request_id,
                order.tenant,
                "auto",
                operation=order.operation,
                messages=(Message("user", text),) if order.operation is Operation.CHAT else (),
                input=(text,) if order.operation is not Operation.CHAT else (),
                stream=order.stream,
            )
            whole = replace(order, request=order.request or runtime.serde.encode(request))
            records.append(Outgoing(self.topic, f"{order.request_id}/{order.attempt}", runtime.serde.encode(whole)))
        await runtime.publisher.send_all(records)

    @asynccontextmanager
    async def worker(self, **overrides: Any) -> AsyncIterator[Runtime]:
        """The role in this process, from ready to drained; what ends it early is raised here."""
        stop, ready = asyncio.Event(), asyncio.Event()
        self.running["stop"] = stop
        async with open_runtime(self.settings.model_copy(update=overrides), self.role) as runtime:
            task = asyncio.ensure_future(worker.run(runtime, stop, ready.set))
            self.running["task"] = task
            waiting = asyncio.ensure_future(ready.wait())
            await asyncio.wait({task, waiting}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            assert ready.is_set() or task.result()
            try:
                yield runtime
            finally:
                stop.set()
                await asyncio.wait_for(task, WAIT_S + 10)

    async def read(self, topic: str, *, count: int, settle_s: float = 0.3) -> list[Any]:
        """The first `count` records of this provider, and what follows within `settle_s`, in the order of each partition."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.settings.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            return await _read(consumer, Serde().of(TYPES[topic]), self._is_mine, count=count, settle_s=settle_s)
        finally:
            await consumer.stop()

    def _is_mine(self, record: Any) -> bool:
        return getattr(record, "tenant", None) == self.tenant or getattr(record, "provider", None) == self.provider

    async def reports(self, *, count: int, settle_s: float = 0.3) -> list[CallReported]:
        return await self.read(topics.ATTEMPTS, count=count, settle_s=settle_s)

    async def committed(self) -> int:
        """Offsets that the worker's group has committed, summed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap_servers)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(self.settings.group(self.role))
            return sum(o.offset for tp, o in found.items() if tp.topic == self.topic and o.offset > 0)
        finally:
            await admin.close()

    def called(self) -> list[Call]:
        """What reached the provider."""
        return list(read(self.call_log)) if self.call_log.exists() else []

    async def reached(self, count: int) -> list[Call]:
        """The first `count` calls that reached the provider, or fewer when they do not come."""
        for _ in range(int(WAIT_S / 0.02)):
            if len(self.called()) >= count:
                break
            await asyncio.sleep(0.02)
        return self.called()


async def _read(consumer: Any, codec: Any, mine: Callable[[Any], bool], *, count: int, settle_s: float) -> list[Any]:
    found: list[Any] = []
    loop = asyncio.get_running_loop()
    deadline, settling = loop.time() + WAIT_S, False
    while loop.time() < deadline:
        for records in (await consumer.getmany(timeout_ms=50)).values():
            decoded = (codec.decode(raw.value) for raw in records)
            found += [record for record in decoded if mine(record)]
        if len(found) >= count and not settling:
            deadline, settling = loop.time() + settle_s, True
    assert len(found) >= count, f"{len(found)} of {count} records came"
    return found


@pytest.fixture
async def bench(kafka: RunningKafka, tmp_path: Path) -> AsyncIterator[Bench]:  # noqa: F811 - pytest's way
    name = f"p{uuid.uuid4().hex[:8]}"
    deployments = tmp_path / "deployments.yaml"
    deployments.write_text(CATALOGUE.format(name=name))
    settings = Settings(
        _env_file=None,
        app=f"test-{name}",
        bootstrap_servers=kafka.bootstrap_servers,
        deployments_file=deployments,
        session_timeout_ms=6_000,
        drain_timeout_s=5.0,
    )
    await create_topics(settings, load_catalogue(settings).providers)
    made = Bench(settings, name, f"tenant-{name}", tmp_path / "calls.jsonl")
    yield made
    if made.simulator is not None:
        await made.simulator.close()


CATALOGUE = """
version: test
providers:
  {name}: {{kind: openai, address: "https://api.example.com/v1", key_env: A_KEY_THAT_IS_NOT_SET}}
deployments:
  - {{provider: {name}, model: m, max_concurrency: 32}}
  - {{provider: {name}, model: narrow, max_concurrency: 2}}
"""
