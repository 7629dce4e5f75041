"""Webhooks of a tenant: its endpoints made, shown, rotated, tested and ended, and what became of their deliveries.

Nothing is sent from here: a test is a delivery like any other, and the role `webhooks` makes it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from processors.api.refusals import RETRY_AFTER_S, Refusal
from processors.webhooks.messages import EVENTS, trial_of
from processors.webhooks.signing import secret_of
from processors.webhooks.target import Unusable
from schemas.keys import KeyRole
from schemas.webhooks import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from streams import clock, topics
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.lineage_log import LogReading
from streams.edge.principal import Refused
from streams.edge.webhook_deliveries import Deliveries
from streams.ids import made_at_s, new_id
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.stores.secret import key_secret
from streams.webhooks.endpoints import Endpoints
from streams.webhooks.guard import Guard, Resolver, guard_of

log = structlog.get_logger(__name__)

WEBHOOKS = "/v1/webhooks"
WEBHOOK = "/v1/webhooks/{webhook_id}"
MOST = 20
"""Endpoints of one tenant."""
_MOST_DESCRIPTION = 500
_DELIVERIES = 50
_MOST_DELIVERIES = 500
_WRITTEN_WITHIN_S = 8.0
_TESTED_WITHIN_S = 25.0
"""Above what a try takes."""
_YOUNG_S = 10.0
_APPEARS_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The handlers. What they raise as Refused is answered as a problem of RFC 9457."""

    door: Door
    endpoints: Endpoints
    guard: Guard
    secret: bytes
    deliveries: Deliveries

    def routes(self) -> list[Route]:
        return [
            Route(WEBHOOKS, self._create, methods=["POST"]),
            Route(WEBHOOKS, self._list, methods=["GET"]),
            Route(WEBHOOK, self._show, methods=["GET"]),
            Route(WEBHOOK, self._delete, methods=["DELETE"]),
            Route(f"{WEBHOOK}/rotate", self._rotate, methods=["POST"]),
            Route(f"{WEBHOOK}/enable", self._enable, methods=["POST"]),
            Route(f"{WEBHOOK}/test", self._test, methods=["POST"]),
            Route(f"{WEBHOOK}/deliveries", self._told, methods=["GET"]),
        ]

    async def _create(self, http: Request) -> Response:
        tenant = self.door.admit(http, KeyRole.ADMIN).tenant
        wish = wish_of(await read_object(http))
        if len(self.endpoints.of(tenant)) >= MOST:
            raise Refused(Refusal(409, "too_many_webhooks", f"a tenant may have {MOST} webhooks: delete one"))
        judged = await self.guard.judge(wish.url)
        if isinstance(judged, Unusable):
            raise Refused(Refusal(400, "invalid_url", judged.reason, "url"))
        webhook_id = new_id("wh")
        endpoint = WebhookEndpoint(webhook_id, tenant, wish.url, wish.events, wish.description, 1, clock.now())
        async with _written():
            await self.endpoints.put(endpoint)
        return _json(self._with_secret(endpoint), 201, {"location": f"{WEBHOOKS}/{webhook_id}"})

    async def _list(self, http: Request) -> Response:
        tenant = self.door.admit(http, KeyRole.READ, KeyRole.ADMIN).tenant
        return _json({"data": [shown(endpoint) for endpoint in self.endpoints.of(tenant)]})

    async def _show(self, http: Request) -> Response:
        return _json(shown(await self._own(http, KeyRole.READ, KeyRole.ADMIN)))

    async def _delete(self, http: Request) -> Response:
        endpoint = await self._own(http, KeyRole.ADMIN)
        async with _written():
            await self.endpoints.drop(endpoint.webhook_id)
        return Response(status_code=204)

    async def _rotate(self, http: Request) -> Response:
        endpoint = await self._own(http, KeyRole.ADMIN)
        rotated = replace(endpoint, generation=endpoint.generation + 1, rotated_at=clock.now())
        async with _written():
            await self.endpoints.put(rotated)
        return _json(self._with_secret(rotated))

    async def _enable(self, http: Request) -> Response:
        endpoint = await self._own(http, KeyRole.ADMIN)
        if endpoint.disabled_at is not None:
            endpoint = replace(endpoint, enabled_at=clock.now(), disabled_at=None, disabled_reason=None)
            async with _written():
                await self.endpoints.put(endpoint)
        return _json(shown(endpoint))

    async def _test(self, http: Request) -> Response:
        endpoint = await self._own(http, KeyRole.ADMIN)
        runtime = self.door.runtime
        trial = trial_of(endpoint, new_id("msg"), now=clock.now())
        value = runtime.serde.of(WebhookDelivery).encode(trial)
        async with _written():
            await runtime.publisher.send_all([Outgoing(topics.WEBHOOK_DELIVERIES, trial.webhook_id, value)])
        outcome = await self.deliveries.outcome(trial, within_s=_TESTED_WITHIN_S)
        if outcome is None:
            message = f"nothing came of the test within {_TESTED_WITHIN_S:.0f} s: does a process of the role `webhooks` run?"
            raise Refused(Refusal(504, "webhook_not_tried", message))
        return _json(told(outcome))

    async def _told(self, http: Request) -> Response:
        endpoint = await self._own(http, KeyRole.READ, KeyRole.ADMIN)
        last = await self.deliveries.last(endpoint.webhook_id, _limit(http))
        return _json({"data": [told(delivery) for delivery in last]})

    async def _own(self, http: Request, *roles: KeyRole) -> WebhookEndpoint:
        """The tenant's endpoint. Raises Refused, 404, alike for an unknown one and another tenant's."""
        tenant, webhook_id = self.door.admit(http, *roles).tenant, http.path_params["webhook_id"]
        found = self.endpoints.get(webhook_id)
        if found is None and _is_young(webhook_id):
            found = await self.endpoints.appears(webhook_id, within_s=_APPEARS_WITHIN_S)
        if found is None or found.tenant != tenant:
            raise Refused(Refusal(404, "unknown_webhook", f"there is no webhook {webhook_id[:100]!r}: list them"))
        return found

    def _with_secret(self, endpoint: WebhookEndpoint) -> dict[str, Any]:
        return {**shown(endpoint), "secret": secret_of(self.secret, endpoint.webhook_id, endpoint.generation)}


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to be told, and where."""

    url: str
    events: tuple[str, ...]
    description: str


def wish_of(body: dict[str, Any]) -> Wish:
    """The wish in a body. Raises Refused, 400, that names the field."""
    if unknown := sorted(body.keys() - {"url", "events", "description"}):
        raise _wrong(unknown[0], f"there is no field {unknown[0][:50]!r}")
    url = body.get("url")
    description = "" if body.get("description") is None else body["description"]
    if not isinstance(url, str) or not url:
        raise _wrong("url", "a webhook needs the `url` that it is sent to")
    if not isinstance(description, str) or len(description) > _MOST_DESCRIPTION:
        raise _wrong("description", f"`description` is text of at most {_MOST_DESCRIPTION} characters")
    events = body.get("events", list(EVENTS))
    if not isinstance(events, list) or not events or any(event not in EVENTS for event in events):
        raise _wrong("events", f"`events` is a list of {' and '.join(EVENTS)}, or one of them")
    return Wish(url, tuple(dict.fromkeys(events)), description)


def shown(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """An endpoint as its tenant sees it."""
    return {
        "id": endpoint.webhook_id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "enabled": endpoint.disabled_at is None,
        "created_at": endpoint.created_at,
        "rotated_at": endpoint.rotated_at,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason,
    }


def told(delivery: WebhookDelivery) -> dict[str, Any]:
    """A delivery as its tenant sees it."""
    waits = delivery.status is DeliveryStatus.WAITING
    return {
        "id": delivery.message_id,
        "event": delivery.event,
        "request_id": delivery.request_id,
        "status": delivery.status.value,
        "attempts": delivery.attempt,
        "at": delivery.at,
        "next_attempt_at": delivery.not_before if waits else None,
        "http_status": delivery.http_status,
        "answer": delivery.answer,
        "error": delivery.error,
        "duration_ms": delivery.duration_ms,
    }


@contextlib.asynccontextmanager
async def open_webhooks(runtime: Runtime) -> AsyncIterator["WebhookParts"]:
    """In the body all endpoints are known that stood in the log at the start."""
    with contextlib.closing(Resolver()) as resolver:
        async with Endpoints(runtime).following() as endpoints, LogReading(runtime).open() as reading:
            guard = guard_of(runtime.settings, resolver)
            yield WebhookParts(endpoints, guard, key_secret(runtime.settings), Deliveries(runtime, reading))


@dataclass(frozen=True, slots=True)
class WebhookParts:
    """What the handlers need beside the door."""

    endpoints: Endpoints
    guard: Guard
    secret: bytes
    deliveries: Deliveries

    def at(self, door: Door) -> Webhooks:
        return Webhooks(door, self.endpoints, self.guard, self.secret, self.deliveries)


@contextlib.asynccontextmanager
async def _written() -> AsyncIterator[None]:
    """Raises Refused, 503, when the log takes nothing in time."""
    try:
        async with asyncio.timeout(_WRITTEN_WITHIN_S):
            yield
    except (KafkaError, TimeoutError) as error:
        log.warning("edge_webhook_unwritten", error=type(error).__name__, next_step="check the broker")
        message = "the log did not take it in time: look whether it was done, and try again"
        raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error


def _limit(http: Request) -> int:
    text = http.query_params.get("limit", str(_DELIVERIES))
    if not (text.isdecimal() and text.isascii() and len(text) < 5 and 0 < int(text) <= _MOST_DELIVERIES):
        raise _wrong("limit", f"`limit` is a number from 1 to {_MOST_DELIVERIES}")
    return int(text)


def _is_young(webhook_id: str) -> bool:
    made_s = made_at_s(webhook_id)
    return made_s is not None and 0 <= clock.now().timestamp() - made_s < _YOUNG_S


def _wrong(parameter: str, message: str) -> Refused:
    return Refused(Refusal(400, "invalid_request", message, parameter))


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), status, headers, "application/json")
