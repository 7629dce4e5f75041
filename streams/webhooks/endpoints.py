"""The endpoints that there are now: a follower of ai.webhooks, whole in every process that needs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog

from schemas.errors import RecordError
from schemas.webhooks import WebhookEndpoint
from streams import topics
from streams.follower import Follower
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_SEEN_WITHIN_S = 2.0


class Endpoints:
    """By id and by tenant, the disabled ones too."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._codec = runtime.serde.of(WebhookEndpoint)
        self._by_id: dict[str, WebhookEndpoint] = {}
        self._by_tenant: dict[str, dict[str, WebhookEndpoint]] = {}
        self._changed = asyncio.Event()
        self._follower = Follower(
            runtime,
            "webhooks",
            {topics.WEBHOOKS: None},
            self._apply,
            started_over=self._start_over,
            gather_ms=None,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Endpoints"]:
        """Follow in the background; in the body all endpoints are known that stood in the topic at the start."""
        async with self._follower.following():
            yield self

    @property
    def caught_up(self) -> asyncio.Event:
        """Set while all is known; what is not found before may be there all the same."""
        return self._follower.caught_up

    def get(self, webhook_id: str) -> WebhookEndpoint | None:
        return self._by_id.get(webhook_id)

    def of(self, tenant: str) -> list[WebhookEndpoint]:
        """A tenant's endpoints, the oldest first."""
        return sorted(self._by_tenant.get(tenant, {}).values(), key=lambda endpoint: endpoint.created_at)

    def all(self) -> list[WebhookEndpoint]:
        return list(self._by_id.values())

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def record(self, endpoint: WebhookEndpoint) -> Outgoing:
        """What makes an endpoint stand as it is given here."""
        return Outgoing(topics.WEBHOOKS, endpoint.webhook_id, self._codec.encode(endpoint))

    async def put(self, endpoint: WebhookEndpoint) -> None:
        """Return when the broker has it and, mostly, this process has read it back. Raises KafkaError."""
        await self._runtime.publisher.send_all([self.record(endpoint)])
        await self._until(lambda: self._by_id.get(endpoint.webhook_id) == endpoint)

    async def drop(self, webhook_id: str) -> None:
        """As `put`: the endpoint is no more."""
        await self._runtime.publisher.send_all([Outgoing(topics.WEBHOOKS, webhook_id, None)])
        await self._until(lambda: webhook_id not in self._by_id)

    async def appears(self, webhook_id: str, *, within_s: float) -> WebhookEndpoint | None:
        """The endpoint, waited for: another process may have made it just now."""
        await self._until(lambda: webhook_id in self._by_id, within_s=within_s)
        return self.get(webhook_id)

    async def _until(self, holds: Callable[[], bool], *, within_s: float = _SEEN_WITHIN_S) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not holds():
                    await self._changed.wait()

    def _start_over(self) -> None:
        self._by_id.clear()
        self._by_tenant.clear()

    def _apply(self, record: Any) -> None:
        self._take(record)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _take(self, record: Any) -> None:
        webhook_id = (record.key or b"").decode("utf-8", "replace")
        if (known := self._by_id.pop(webhook_id, None)) is not None:
            self._by_tenant[known.tenant].pop(webhook_id)
        if not record.value:
            return
        try:
            endpoint = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("webhook_unreadable", **place, error=str(error), next_step="delete it, and create it again")
            return
        self._by_id[endpoint.webhook_id] = endpoint
        self._by_tenant.setdefault(endpoint.tenant, {})[endpoint.webhook_id] = endpoint
