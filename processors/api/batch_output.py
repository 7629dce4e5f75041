"""The lines that a batch writes: one for each line of its input, in its file of answers or in its file of errors.

Source of the shapes: OpenAI's API reference, "Batch", "The request output object"; `BatchRequestOutputError` of its OpenAPI
document for `batch_expired` and `batch_cancelled`.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from processors.api.batch_lines import RESPONSES, BadLine, Line
from processors.api.named import Named
from processors.api.openai_response import as_base64, completion
from processors.api.refusals import refusal_of
from processors.api.responses_response import Answering
from processors.dispatch.answers import CANCELLED as WITHDRAWN
from schemas.calls import Output, Usage
from schemas.outcomes import ErrorInfo, InferenceResponse, ResponseStatus
from schemas.requests import Operation

EXPIRED = "batch_expired"
CANCELLED = "batch_cancelled"


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a file. `error` says in which one; `expired` that nobody answered in time."""

    text: bytes
    error: bool = False
    expired: bool = False
    usage: Usage | None = None


def answered(line: Line, response: InferenceResponse, endpoint: str, *, batch_cancelled: bool = False) -> Written:
    """What a final response comes to."""
    if response.status is ResponseStatus.EXPIRED:
        return expired(line)
    if batch_cancelled and response.error is not None and response.error.kind == WITHDRAWN.kind:
        return cancelled(line)
    if response.status in {ResponseStatus.OK, ResponseStatus.FALLBACK}:
        return Written(_line(line, _told(line, 200, _body(line, response, endpoint))), usage=response.usage)
    unsaid = ErrorInfo("server_error", "the request failed and nobody said why", retryable=True)
    refusal = refusal_of(response.error or unsaid)
    return Written(_line(line, _told(line, refusal.status, refusal.openai())), error=True)


def expired(line: Line) -> Written:
    """A line that was not answered within the batch's window."""
    return failed(line, EXPIRED, "This request could not be executed before the completion window expired.", expired=True)


def cancelled(line: Line) -> Written:
    """A line that was not answered before its batch was cancelled."""
    return failed(line, CANCELLED, "This request was not answered before the batch was cancelled.")


def failed(line: Line | BadLine, code: str, message: str, *, expired: bool = False) -> Written:
    """A line that was never asked, or not answered."""
    return Written(_line(line, None, {"code": code, "message": message}), error=True, expired=expired)


def bad(line: BadLine) -> Written:
    """A line that cannot be asked, and where it stands."""
    return failed(line, line.code, f"line {line.place}: {line.message}")


def _body(line: Line, response: InferenceResponse, endpoint: str) -> dict[str, Any]:
    named = Named(response.request_id, int(response.received_at.timestamp()), line.request.model)
    if endpoint == RESPONSES:
        answering = Answering(named, line.body)
        return answering.ended(response, answering.items(response.output or Output()))
    body = completion(response, named)
    packed = response.operation is Operation.EMBEDDINGS and line.body.get("encoding_format") == "base64"
    return as_base64(body) if packed else body


def _told(line: Line, status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"status_code": status, "request_id": line.request.request_id, "body": body}


def _line(line: Line | BadLine, response: dict[str, Any] | None, error: dict[str, Any] | None = None) -> bytes:
    label = line.request.request_id if isinstance(line, Line) else str(line.number)
    written = {"id": f"batch_req_{label}", "custom_id": line.custom_id, "response": response, "error": error}
    return orjson.dumps(written, option=orjson.OPT_APPEND_NEWLINE)
