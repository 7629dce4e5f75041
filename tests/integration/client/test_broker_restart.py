"""The client through the death of the broker: what was acknowledged is there, what is waited for comes, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from schemas.requests import InferenceRequest
from streams import topics
from streams.bootstrap import create_topics
from streams.client import Penstock
from streams.publisher import Outgoing, Publisher
from streams.settings import Settings
from tests.contract.records import EXAMPLES
from tests.fakes.stack import RunningKafka, embedded_kafka

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def broker() -> Iterator[RunningKafka]:
    with embedded_kafka() as running:
        yield running


@asynccontextmanager
async def answering(client: Penstock, bootstrap_servers: str) -> AsyncIterator[None]:
    """A pipeline in one line: every request is answered at once."""

    async def answer() -> None:
        async for record in client.consume(topics.REQUESTS, group="pipeline"):
            request: InferenceRequest = record.value
            response = replace(EXAMPLES["InferenceResponse"], request_id=request.request_id, tenant=request.tenant)
            value = client._connection.serde.encode(response)
            await publisher.send_all([Outgoing(topics.RESPONSES, request.request_id, value)])

    async with Publisher(bootstrap_servers=bootstrap_servers, client_id="pipeline") as publisher:
        task = asyncio.create_task(answer())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_everything_goes_on_when_the_broker_is_back(broker: RunningKafka) -> None:
    settings = Settings(_env_file=None, bootstrap_servers=broker.bootstrap_servers, partitions=2)
    await create_topics(settings, [])
    seen: list[str] = []

    async def read(client: Penstock) -> None:
        async for record in client.consume(topics.REQUESTS, group="readers"):
            seen.append(record.value.request_id)  # noqa: PERF401 - it never ends

    def asking(client: Penstock, name: str) -> asyncio.Task:
        return asyncio.create_task(client.ask(request_id=name, input=["a"], operation="embeddings", timeout_s=120))

    async with Penstock(settings, tenant="acme") as client, answering(client, broker.bootstrap_servers):
        reading = asyncio.create_task(read(client))
        before = [f"before-{n}" for n in range(20)]
        assert {answer.request_id for answer in await asyncio.gather(*(asking(client, name) for name in before))} == set(before)
        await asyncio.to_thread(broker.kill)
        during = [asking(client, f"during-{n}") for n in range(20)]
        await asyncio.sleep(2)
        assert not any(task.done() for task in during)
        await asyncio.to_thread(broker.start)
        async with asyncio.timeout(120):
            answered = {answer.request_id for answer in await asyncio.gather(*during)}
            after = await asking(client, "after")
            asked = {*before, *answered, "after"}
            while set(seen) != asked:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.1)
        assert len(answered) == 20
        assert after.request_id == "after"
        assert not reading.done()
        reading.cancel()
