"""Endpoints, responses and deliveries for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.calls import Output
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.webhooks import DeliveryStatus, WebhookDelivery, WebhookEndpoint

NOW = datetime(2026, 1, 31, 15, 4, 5, 678901, UTC)


def endpoint(webhook_id: str = "wh-1", **changes: Any) -> WebhookEndpoint:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "url": "https://hooks.example.org/",
        "events": ("request.completed", "request.failed"),
        "description": "",
        "generation": 1,
        "created_at": NOW - timedelta(days=1),
    }
    return WebhookEndpoint(webhook_id, **(fields | changes))


def response(request_id: str = "req-1", **changes: Any) -> InferenceResponse:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "final": True,
        "status": ResponseStatus.OK,
        "request_model": "auto",
        "attempts": 1,
        "task_kind": "chat",
        "policy": "cheapest@1",
        "received_at": NOW - timedelta(seconds=1),
        "answered_at": NOW,
        "output": Output("The Rhine.", finish_reason="stop"),
        "cost_nanousd": 1_500,
        "cache_key": "secret of the cache",
    }
    return InferenceResponse(request_id, **(fields | changes))


def delivery(message_id: str = "msg_1", **changes: Any) -> WebhookDelivery:
    fields: dict[str, Any] = {
        "webhook_id": "wh-1",
        "tenant": "acme",
        "event": "request.completed",
        "status": DeliveryStatus.WAITING,
        "attempt": 0,
        "at": NOW,
        "request_id": "req-1",
        "not_before": NOW,
        "body": "{}",
    }
    return WebhookDelivery(message_id, **(fields | changes))
