"""What endpoints are told: which event a response is, for whom, and its body."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import orjson

from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.webhooks import DeliveryStatus, WebhookDelivery, WebhookEndpoint

COMPLETED, FAILED, TEST = "request.completed", "request.failed", "webhook.test"
EVENTS = (COMPLETED, FAILED)
"""What an endpoint may ask for; `webhook.test` comes when it is asked for by itself."""
MAX_BODY_BYTES = 250_000
"""So that a dead letter has room for it, and its record."""
_SKEW = timedelta(seconds=5)
"""How far the clocks of machines may be apart: an answer from before an endpoint was made is not sent there."""
_OURS = {"final", "cache_key", "cache_ttl_s", "compare"}
_BRIEF = ("request_id", "tenant", "status", "cost_nanousd", "pricing_status", "received_at", "answered_at")
_OPTIONS = orjson.OPT_UTC_Z


def event_of(response: InferenceResponse) -> str | None:
    """The event that a response is; None for a notice, of which nobody is told."""
    if not response.final:
        return None
    return COMPLETED if response.status in {ResponseStatus.OK, ResponseStatus.FALLBACK} else FAILED


def deliveries_of(
    response: InferenceResponse, endpoints: Iterable[WebhookEndpoint], *, now: datetime
) -> Iterator[WebhookDelivery]:
    """One delivery for each endpoint of the tenant that asked for the event, to be tried at once."""
    if (event := event_of(response)) is None:
        return
    body: str | None = None
    for endpoint in endpoints:
        asked = endpoint.tenant == response.tenant and event in endpoint.events and endpoint.disabled_at is None
        if not asked or response.answered_at + _SKEW < endpoint.created_at:
            continue
        body = body or body_of(event, response)
        message_id = message_id_of(endpoint.webhook_id, response)
        yield _waiting(endpoint, event, message_id, body, now=now, request_id=response.request_id)


def trial_of(endpoint: WebhookEndpoint, message_id: str, *, now: datetime) -> WebhookDelivery:
    """A `webhook.test`, to be tried once and at once."""
    data = {"webhook_id": endpoint.webhook_id, "tenant": endpoint.tenant}
    return _waiting(endpoint, TEST, message_id, _envelope(TEST, now, data), now=now)


def body_of(event: str, response: InferenceResponse) -> str:
    """The body: the whole final response, what it cost included. One that is too large goes without the model's output.

    `output_omitted` says so; the answer stands at `/v1/requests/{id}`. The same response has the same body, whenever it is made.
    """
    whole = {field.name: getattr(response, field.name) for field in fields(response) if field.name not in _OURS}
    brief = {name: whole[name] for name in _BRIEF}
    for data in (whole, {**whole, "output": None, "output_omitted": True}):
        body = _envelope(event, response.answered_at, data)
        if len(body.encode()) <= MAX_BODY_BYTES:
            return body
    return _envelope(event, response.answered_at, {**brief, "output": None, "output_omitted": True})


def message_id_of(webhook_id: str, response: InferenceResponse) -> str:
    """The id by which a receiver knows a message that comes again: the same for the same endpoint and response."""
    name = "\x00".join((webhook_id, response.tenant, response.request_id, response.received_at.isoformat()))
    return f"msg_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:40]}"


def _envelope(event: str, at: datetime, data: dict[str, Any]) -> str:
    return orjson.dumps({"type": event, "timestamp": at, "data": data}, option=_OPTIONS).decode()


def _waiting(
    endpoint: WebhookEndpoint, event: str, message_id: str, body: str, *, now: datetime, request_id: str | None = None
) -> WebhookDelivery:
    return WebhookDelivery(
        message_id=message_id,
        webhook_id=endpoint.webhook_id,
        tenant=endpoint.tenant,
        event=event,
        status=DeliveryStatus.WAITING,
        attempt=0,
        at=now,
        request_id=request_id,
        not_before=now,
        body=body,
    )
