"""Records that a live view is folded from, with everything that a test does not care about filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.calls import Usage
from schemas.ledger import CostTotal
from schemas.outcomes import CacheState, DeadLetter, InferenceResponse, ResponseStatus
from schemas.requests import Operation

T0 = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
T0_S = int(T0.timestamp())


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def response(seconds: float = 0.0, *, took_ms: int = 200, **changes: Any) -> InferenceResponse:
    """An answer of so many seconds after T0."""
    answered_at = at(seconds)
    fields: dict[str, Any] = {
        "request_id": f"r{seconds}",
        "tenant": "acme",
        "final": True,
        "status": ResponseStatus.OK,
        "request_model": "auto",
        "attempts": 1,
        "task_kind": "chat",
        "policy": "cheapest@1",
        "received_at": answered_at - timedelta(milliseconds=took_ms),
        "answered_at": answered_at,
        "operation": Operation.CHAT,
        "usage": Usage(10, 20),
        "cost_nanousd": 5,
        "deployment": "openai/gpt-4o-mini",
        "cache": CacheState.MISS,
    }
    return InferenceResponse(**(fields | changes))


def total(cost_nanousd: int, seconds: float = 0.0, **changes: Any) -> CostTotal:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "lane": "acme",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "hour": at(seconds).replace(minute=0, second=0),
        "updated_at": at(seconds),
        "calls": 1,
        "cost_nanousd": cost_nanousd,
    }
    return CostTotal(**(fields | changes))


def letter(tenant: str | None = "acme", **changes: Any) -> DeadLetter:
    fields: dict[str, Any] = {
        "topic": "ai.requests",
        "partition": 0,
        "offset": 7,
        "stage": "intake",
        "reason": "truncated",
        "message": "the body ends before its schema does",
        "value": b"secret prompt",
        "value_size": 13,
        "timestamp": T0,
        "seen_at": T0,
        "tenant": tenant,
    }
    return DeadLetter(**(fields | changes))
