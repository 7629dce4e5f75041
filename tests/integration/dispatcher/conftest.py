"""The dispatcher against a real broker of its own, with the test as intake, worker and reader."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.calls import CallOrdered, CallPhase, CallReported
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse
from schemas.routing import RequestRouted
from streams import clock, topics
from streams.bootstrap import create_topics
from streams.catalogue import load_catalogue
from streams.dispatcher import role
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from tests.fakes import records
from tests.fakes.stack import RunningKafka, embedded_kafka

WAIT_S = 60.0


@pytest.fixture(scope="module")
def broker() -> Iterator[RunningKafka]:
    with embedded_kafka() as running:
        yield running


@pytest.fixture
async def settings(broker: RunningKafka, tmp_path: Path) -> Settings:
    settings = Settings(
        _env_file=None,
        app="test",
        data_dir=tmp_path,
        bootstrap_servers=broker.bootstrap_servers,
        simulator_url="http://127.0.0.1:1",
        session_timeout_ms=3_000,
        transaction_timeout_ms=10_000,
    )
    await create_topics(settings, load_catalogue(settings).providers)
    return settings


@dataclass
class Seen:
    """Everything that came on the dispatcher's outputs since the rig was opened, in the order of its reading."""

    orders: list[CallOrdered] = field(default_factory=list)
    responses: list[InferenceResponse] = field(default_factory=list)
    costs: list[CostEvent] = field(default_factory=list)
    totals: dict[str, CostTotal] = field(default_factory=dict)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def finals(self) -> Counter[str]:
        return Counter(r.request_id for r in self.responses if r.final)


class Rig:
    """One test's tenant; publishes routed requests and reports, reads what the dispatcher says of them."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime, self.tenant, self.seen = runtime, f"tenant-{uuid.uuid4().hex[:12]}", Seen()
        self._answering = False

    async def publish(self, *records_: RequestRouted | CallReported) -> None:
        topic = {RequestRouted: topics.ROUTED, CallReported: topics.ATTEMPTS}
        encode = self.runtime.serde.encode
        await self.runtime.publisher.send_all(
            [self.runtime.to_lane(topic[type(record)], record.lane, encode(record)) for record in records_]
        )

    def routed(self, request_id: str, *, lifetime_s: float = 600.0, **changes: Any) -> RequestRouted:
        now = clock.now()
        fields = {"tenant": self.tenant, "received_at": now, "routed_at": now, "deadline": now + timedelta(seconds=lifetime_s)}
        return records.routed(request_id, **(fields | changes))

    def about(self, order: CallOrdered) -> dict[str, Any]:
        return {"request_id": order.request_id, "attempt": order.attempt, "tenant": order.tenant, "lane": order.lane}

    def started(self, order: CallOrdered, call_id: str, *, lost_after_s: float = 60.0) -> CallReported:
        now = clock.now()
        lost_at = now + timedelta(seconds=lost_after_s)
        return records.started(call_id, **self.about(order), started_at=now, reported_at=now, lost_at=lost_at)

    def answer_all(self) -> None:
        """From now on act as the workers do, for every order of this tenant."""
        self._answering = True

    async def until(self, condition: Any, *, within_s: float = WAIT_S) -> None:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - the condition is of the log, not of this loop
                await asyncio.sleep(0.02)

    async def read(self) -> None:
        serde = self.runtime.serde
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.runtime.bootstrap_servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            wanted = {
                topics.calls("openai"): (CallOrdered, self._ordered),
                topics.calls("anthropic"): (CallOrdered, self._ordered),
                topics.RESPONSES: (InferenceResponse, self.seen.responses.append),
                topics.COSTS: (CostEvent, self.seen.costs.append),
                topics.COST_TOTALS: (CostTotal, self._total),
            }
            letters = TopicPartition(topics.DEAD_LETTERS, 0)
            consumer.assign([letters, *(TopicPartition(name, p) for name in wanted for p in range(self.runtime.lanes))])
            while True:
                for tp, batch in (await consumer.getmany(timeout_ms=100)).items():
                    if tp == letters:
                        self.seen.dead_letters += [serde.of(DeadLetter).decode(raw.value) for raw in batch]
                        continue
                    record_type, take = wanted[tp.topic]
                    for raw in batch:
                        if (record := serde.of(record_type).decode(raw.value)).tenant == self.tenant:
                            outcome = take(record)
                            if asyncio.iscoroutine(outcome):
                                await outcome
        finally:
            await consumer.stop()

    async def _ordered(self, order: CallOrdered) -> None:
        self.seen.orders.append(order)
        if self._answering:
            call_id = uuid.uuid4().hex
            candidate = records.CHEAP if order.provider == "openai" else records.DEAR
            finished = records.report(
                call_id,
                CallPhase.COMPLETED,
                candidate=candidate,
                output=records.Output("Hello"),
                usage=records.Usage(10, 5),
                **self.about(order),
            )
            await self.publish(self.started(order, call_id), finished)

    def _total(self, total: CostTotal) -> None:
        self.seen.totals[f"{total.lane}|{total.provider}|{total.model}|{total.hour}"] = total


@pytest.fixture
async def rig(settings: Settings) -> AsyncIterator[Rig]:
    async with open_runtime(settings, "test") as runtime:
        rig = Rig(runtime)
        reading = asyncio.create_task(rig.read())
        try:
            yield rig
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def dispatching(rig: Rig) -> AsyncIterator[asyncio.Task[None]]:
    """The role in this loop, from ready to stopped; what ended it early is raised here."""
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(role.run(rig.runtime, stop, ready.set))
    try:
        async with asyncio.timeout(WAIT_S):
            await ready.wait()
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)
