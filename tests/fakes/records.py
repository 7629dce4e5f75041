"""Records for tests, with everything that a test does not care about filled in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.calls import Billing, CallPhase, CallReported, Failure, FailureKind, Output, Usage
from schemas.requests import InferenceRequest, Message, Operation
from schemas.routing import Candidate, CandidateUse, RequestRouted

T0 = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CHEAP = Candidate("openai/gpt-4o-mini", "openai", "gpt-4o-mini", timeout_ms=60_000, output_tokens_bound=100)
DEAR = Candidate("anthropic/claude-3-7-sonnet", "anthropic", "claude-3-7-sonnet", timeout_ms=60_000, output_tokens_bound=100)
LARGE = Candidate(
    "openai/gpt-4o",
    "openai",
    "gpt-4o",
    timeout_ms=60_000,
    output_tokens_bound=100,
    context_tokens=128_000,
    use=CandidateUse.CONTEXT,
)
SPARE = Candidate("openai/o1-mini", "openai", "o1-mini", timeout_ms=60_000, output_tokens_bound=100, use=CandidateUse.FALLBACK)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def request(request_id: str = "r1", **changes: Any) -> InferenceRequest:
    return InferenceRequest(
        **({"request_id": request_id, "tenant": "acme", "model": "auto", "messages": (Message("user", "Hi"),)} | changes)
    )


def routed(request_id: str = "r1", **changes: Any) -> RequestRouted:
    fields: dict[str, Any] = {
        "request_id": request_id,
        "tenant": "acme",
        "lane": changes.get("tenant", "acme"),
        "request": b"framed",
        "body_digest": b"d" * 32,
        "request_model": "auto",
        "task_kind": "chat",
        "complexity": "low",
        "input_tokens_estimate": 10,
        "policy": "cheapest@1",
        "received_at": T0,
        "routed_at": T0,
        "deadline": at(600),
        "operation": Operation.CHAT,
        "candidates": (CHEAP, DEAR),
    }
    return RequestRouted(**(fields | changes))


def report(
    call_id: str, phase: CallPhase, *, request_id: str = "r1", attempt: int = 1, candidate: Candidate = CHEAP, **changes: Any
) -> CallReported:
    fields: dict[str, Any] = {
        "call_id": call_id,
        "phase": phase,
        "request_id": request_id,
        "attempt": attempt,
        "tenant": "acme",
        "lane": "acme",
        "deployment": candidate.deployment,
        "provider": candidate.provider,
        "model": candidate.model,
        "worker": "w1",
        "reported_at": T0,
    }
    return CallReported(**(fields | changes))


def started(call_id: str, **changes: Any) -> CallReported:
    defaults = {"started_at": T0, "lost_at": at(70), "input_tokens_estimate": 10, "output_tokens_bound": 100}
    return report(call_id, CallPhase.STARTED, **(defaults | changes))


def completed(call_id: str, **changes: Any) -> CallReported:
    defaults = {"output": Output("Hello", finish_reason="stop"), "usage": Usage(10, 5)}
    return report(call_id, CallPhase.COMPLETED, **(defaults | changes))


def failed(
    call_id: str, kind: FailureKind, billing: Billing = Billing.NOT_BILLED, *, retry_after_s: float | None = None, **changes: Any
) -> CallReported:
    return report(call_id, CallPhase.FAILED, failure=Failure(kind, "it failed", billing, retry_after_s=retry_after_s), **changes)


def asking(request_id: str = "r1", **changes: Any) -> RequestRouted:
    """A request whose answer may be kept, and so shared with those who ask the same."""
    return routed(request_id, **({"flight_key": "acme:auto:hi", "cache_key": "acme:auto:hi", "cache_ttl_s": 60} | changes))
