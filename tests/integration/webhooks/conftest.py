"""The role in this process on a real Kafka; every test has a tenant and a group of its own."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from processors.webhooks.signing import secret_of
from processors.webhooks.standing import further
from schemas.calls import Output
from schemas.outcomes import DeadLetter, InferenceResponse, ResponseStatus
from schemas.webhooks import WebhookDelivery, WebhookEndpoint
from streams import topics
from streams.beginning import Beginning
from streams.bootstrap import create_topics
from streams.catalogue import load_catalogue
from streams.cli.reading import open_reader
from streams.ids import new_id
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from streams.webhooks import role
from tests.fakes.stack import RunningKafka, kafka  # noqa: F401 - a fixture
from tests.integration.webhooks.receiver import Receiver, receiving

WAIT_S = 60.0


@dataclass
class Case:
    """One tenant's world."""

    settings: Settings
    runtime: Runtime
    receiver: Receiver
    made: set[str] = field(default_factory=set)
    tenant: str = field(default_factory=lambda: f"tenant-{uuid.uuid4().hex[:12]}")

    async def endpoint(self, path: str, **changes: Any) -> WebhookEndpoint:
        """An endpoint at a path of the receiver."""
        fields = {"webhook_id": new_id("wh"), "events": ("request.completed", "request.failed"), "description": ""} | changes
        made = WebhookEndpoint(
            tenant=self.tenant,
            url=f"{self.receiver.url}{path}",
            generation=1,
            created_at=datetime.now(UTC),
            **fields,  # type: ignore[arg-type]
        )
        await self.put(made)
        return made

    async def put(self, endpoint: WebhookEndpoint) -> None:
        value = self.runtime.serde.encode(endpoint)
        self.made.add(endpoint.webhook_id)
        await self.runtime.publisher.send_all([Outgoing(topics.WEBHOOKS, endpoint.webhook_id, value)])

    async def drop(self, webhook_id: str) -> None:
        await self.runtime.publisher.send_all([Outgoing(topics.WEBHOOKS, webhook_id, None)])

    def secret(self, endpoint: WebhookEndpoint) -> str:
        secret = self.settings.key_secret
        assert secret is not None
        return secret_of(secret.get_secret_value().encode(), endpoint.webhook_id, endpoint.generation)

    async def answer(self, *request_ids: str, status: ResponseStatus = ResponseStatus.OK) -> None:
        """Final responses, as the dispatcher writes them."""
        now = datetime.now(UTC)
        codec = self.runtime.serde.of(InferenceResponse)
        records = []
        for request_id in request_ids:
            response = InferenceResponse(
                request_id, self.tenant, True, status, "auto", 1, "chat", "cheapest@1", now, now,
                output=Output("The Rhine."), cost_nanousd=1_500,
            )  # fmt: skip
            records += [response, replace(response, final=False, status=ResponseStatus.DUPLICATE)]
        await self.runtime.publisher.send_all(Outgoing(topics.RESPONSES, r.request_id, codec.encode(r)) for r in records)

    @asynccontextmanager
    async def delivering(self) -> AsyncIterator["asyncio.Task[None]"]:
        """A process of the role, as a task; stopped in order unless the body has cancelled it."""
        stop, ready = asyncio.Event(), asyncio.Event()
        async with open_runtime(self.settings, "webhooks") as runtime:
            task = asyncio.create_task(role.run(runtime, stop, ready.set))
            waiting = asyncio.create_task(ready.wait())
            try:
                await asyncio.wait({task, waiting}, timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
                assert ready.is_set() or task.result(), "the role was not ready in time"
                yield task
            finally:
                waiting.cancel()
                stop.set()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait_for(task, WAIT_S)

    async def deliveries(self) -> dict[str, WebhookDelivery]:
        """The tenant's, each as it stands."""
        read = await self._read(topics.WEBHOOK_DELIVERIES, WebhookDelivery)
        found: dict[str, WebhookDelivery] = {}
        for delivery in read:
            found[delivery.message_id] = further(found.get(delivery.message_id, delivery), delivery)
        return found

    async def endpoints(self) -> dict[str, WebhookEndpoint]:
        return {endpoint.webhook_id: endpoint for endpoint in await self._read(topics.WEBHOOKS, WebhookEndpoint)}

    async def dead_letters(self) -> list[DeadLetter]:
        return [letter for letter in await self._read(topics.DEAD_LETTERS, DeadLetter) if letter.stage == "webhooks"]

    async def _read(self, topic: str, record_type: type[Any]) -> list[Any]:
        codec = self.runtime.serde.of(record_type)
        async with open_reader(self.settings, [topic]) as reader:
            await reader.seek(Beginning())
            values = [record.value async for record in reader.until(await reader.ends()) if record.value]
        return [one for one in map(codec.decode, values) if one.tenant == self.tenant]

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not await holds():  # noqa: ASYNC110 - what is waited for is in Kafka
                await asyncio.sleep(0.1)


@asynccontextmanager
async def world(bootstrap_servers: str, **changes: Any) -> AsyncIterator[Case]:
    """A tenant of its own on a broker, and a receiver; `changes` are settings."""
    settings = Settings(
        _env_file=None,
        app=f"test-{uuid.uuid4().hex[:12]}",
        bootstrap_servers=bootstrap_servers,
        simulator_url="http://127.0.0.1:1",
        session_timeout_ms=6_000,
        key_secret="a secret of sixteen",  # type: ignore[arg-type]
        webhooks_allow_insecure_local=True,
        **{"webhooks_retry_s": "0.1,0.1,0.2,0.5,0.5,1,1,2,5", "drain_timeout_s": 5.0, **changes},
    )
    await create_topics(settings, load_catalogue(settings).providers)
    async with open_runtime(settings, "test") as runtime, receiving() as receiver:
        made = Case(settings, runtime, receiver)
        try:
            yield made
        finally:
            # The broker is shared: the next test's role would go on calling what is not there any more.
            for webhook_id in made.made:
                await made.drop(webhook_id)


@pytest.fixture
async def case(kafka: RunningKafka, request: pytest.FixtureRequest) -> AsyncIterator[Case]:  # noqa: F811 - pytest's way
    """`@pytest.mark.parametrize("case", [{...}], indirect=True)` gives further settings."""
    async with world(kafka.bootstrap_servers, **getattr(request, "param", {})) as made:
        yield made
