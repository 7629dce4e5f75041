"""Batches as OpenAI's clients see them, and what they ask for.

Source of the shapes: OpenAI's API reference, "Batch"; `openai.types.Batch` of its SDK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from processors.api import fields
from processors.api.bad_request import BadRequest
from processors.api.batch_lines import ENDPOINTS, metadata_of
from processors.api.files_shape import expiry_s
from schemas.batches import BatchState, BatchStatus

WINDOW = timedelta(hours=24)
_WINDOW = "24h"
_KNOWN = frozenset({"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"})
_ENDED_AT = {
    BatchStatus.FAILED: "failed_at",
    BatchStatus.COMPLETED: "completed_at",
    BatchStatus.EXPIRED: "expired_at",
    BatchStatus.CANCELLED: "cancelled_at",
}


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a client wants carried out."""

    input_file_id: str
    endpoint: str
    metadata: dict[str, str]
    output_expires_after_s: int | None


def new_batch(body: Mapping[str, Any]) -> NewBatch:
    """The batch of a body. Raises BadRequest."""
    if unknown := sorted(body.keys() - _KNOWN):
        raise BadRequest(f"`{unknown[0][:60]}` is not a parameter of a batch", unknown[0][:60])
    if body.get("endpoint") not in ENDPOINTS:
        raise BadRequest(f"`endpoint` must be one of {', '.join(ENDPOINTS)}", "endpoint")
    if body.get("completion_window") != _WINDOW:
        raise BadRequest(f"`completion_window` must be {_WINDOW}", "completion_window")
    policy = fields.an_object(body.get("output_expires_after"), "output_expires_after")
    return NewBatch(
        input_file_id=fields.text(body.get("input_file_id"), "input_file_id"),
        endpoint=str(body["endpoint"]),
        metadata=metadata_of(body.get("metadata")),
        output_expires_after_s=expiry_s(policy, "output_expires_after") if policy else None,
    )


def batch_object(state: BatchState, cancel_asked_at: datetime | None = None) -> dict[str, Any]:
    """The batch; `cancel_asked_at` is when its sender wished it to end, if it does."""
    status, cancelling_at = state.status, state.cancelling_at
    if not status.ended and status is not BatchStatus.FINALIZING and cancel_asked_at is not None:
        status, cancelling_at = BatchStatus.CANCELLING, cancel_asked_at
    there = state.status.ended
    return {
        "id": state.batch_id,
        "object": "batch",
        "endpoint": state.endpoint,
        "model": None,
        "errors": _errors(state),
        "input_file_id": state.input_file_id,
        "completion_window": _WINDOW,
        "status": status.value,
        "output_file_id": state.output_file_id if there else None,
        "error_file_id": state.error_file_id if there else None,
        "created_at": _seconds(state.created_at),
        "in_progress_at": _seconds(state.in_progress_at),
        "expires_at": _seconds(state.expires_at),
        "finalizing_at": _seconds(state.finalizing_at),
        **dict.fromkeys(_ENDED_AT.values()),
        "cancelling_at": _seconds(cancelling_at),
        **({_ENDED_AT[state.status]: _seconds(state.ended_at)} if there else {}),
        "request_counts": {"total": state.total, "completed": state.completed, "failed": state.failed},
        "usage": {
            "input_tokens": state.input_tokens,
            "input_tokens_details": {"cached_tokens": state.cached_tokens},
            "output_tokens": state.output_tokens,
            "output_tokens_details": {"reasoning_tokens": state.reasoning_tokens},
            "total_tokens": state.input_tokens + state.output_tokens,
        },
        "metadata": state.metadata or None,
    }


def _errors(state: BatchState) -> dict[str, Any] | None:
    if not state.problems:
        return None
    data = [{"code": each.code, "line": each.line, "message": each.message, "param": each.param} for each in state.problems]
    return {"object": "list", "data": data}


def _seconds(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())
