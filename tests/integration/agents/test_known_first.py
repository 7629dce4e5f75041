"""A record of a schema id that cannot be asked about waits aside, unacknowledged; those behind it go on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.catalogue import builtin
from schemas.requests import InferenceRequest
from schemas.serde import HEADER_BYTES, Serde
from streams import topics
from streams.agents import known_first as module
from streams.agents.known_first import known_first
from streams.bootstrap import prepare_serde
from streams.faust_host import Delivered
from streams.newcomers import Newcomers
from streams.settings import Settings
from tests.contract.records import EXAMPLES
from tests.fakes.registry import FakeRegistry, with_field

PROVIDERS = ("openai",)
REQUEST = EXAMPLES["InferenceRequest"]
TEXT = next(s.text for s in builtin().values() if s.name == "InferenceRequest")


@dataclass(slots=True)
class Agent:
    """An agent that decodes; `handled` and `acknowledged` hold request ids."""

    queue: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)
    handled: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)

    def arrive(self, request_id: str, *, schema_id: int | None = None) -> None:
        value = Serde().encode(replace(REQUEST, request_id=request_id))
        if schema_id is not None:
            value = b"\x00" + schema_id.to_bytes(4, "big") + value[HEADER_BYTES:] + b"\x00"
        message = SimpleNamespace(value=value, topic=topics.REQUESTS, partition=0, offset=0)
        self.queue.put_nowait(SimpleNamespace(message=message, ack=lambda: self.acknowledged.append(request_id)))

    async def until(self, acknowledged: Sequence[str]) -> None:
        async with asyncio.timeout(30):
            while sorted(self.acknowledged) != sorted(acknowledged):  # noqa: ASYNC110 - the list tells nobody
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agent]:
    settings, agent = Settings(_env_file=None, schema_registry_url=registry.url), Agent()
    serde = await prepare_serde(settings, PROVIDERS)
    decode = serde.of(InferenceRequest).decode

    async def handle(records: Sequence[Delivered]) -> None:
        agent.handled += [decode(record.value).request_id for record in records]

    monkeypatch.setattr(module, "queue_of", lambda _: agent.queue)
    consuming = asyncio.create_task(known_first(None, handle, Newcomers(serde.catalogue, settings), max_records=10))
    try:
        yield agent
    finally:
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)


async def test_known_ids_do_not_wait_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeRegistry(PROVIDERS) as registry, running(registry, monkeypatch) as agent:
        new = registry.register(f"{topics.REQUESTS}-value", with_field(TEXT, "hint"))
        await registry.stop()
        agent.arrive("first")
        agent.arrive("new", schema_id=new)
        agent.arrive("second")
        await agent.until(["first", "second"])
        agent.arrive("third")
        await agent.until(["first", "second", "third"])
        assert "new" not in agent.handled
        await registry.start()
        await agent.until(["first", "second", "third", "new"])
        assert agent.handled[-1] == "new"


async def test_so_many_may_wait_and_then_nothing_more_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    async with FakeRegistry(PROVIDERS) as registry, running(registry, monkeypatch) as agent:
        new = registry.register(f"{topics.REQUESTS}-value", with_field(TEXT, "hint"))
        await registry.stop()
        for number in range(3):
            agent.arrive(f"new-{number}", schema_id=new)
        await asyncio.sleep(0.2)
        agent.arrive("behind")
        await asyncio.sleep(0.2)
        assert agent.queue.qsize() == 1
        await registry.start()
        await agent.until(["new-0", "new-1", "new-2", "behind"])


async def test_an_error_of_the_agent_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    monkeypatch.setattr(module, "queue_of", lambda _: queue)

    async def handle(_: Sequence[Delivered]) -> None:
        raise OSError("away")

    agent = Agent(queue)
    agent.arrive("first")
    with pytest.raises(ExceptionGroup):
        await known_first(None, handle, Newcomers(Serde().catalogue, Settings(_env_file=None)), max_records=10)
    assert agent.acknowledged == []
