"""Why a client gets no answer: one HTTP status, and the words that OpenAI's and Anthropic's SDKs make their exceptions of.

Sources: OpenAI's "Error codes" guide, Anthropic's "Errors" guide; the SDKs choose the exception class by the status alone.
"""

from dataclasses import dataclass
from typing import Any

from schemas.outcomes import ErrorInfo

RETRY_AFTER_S = 5
"""What a client is asked to wait when nobody knows better."""

_STATUS = {
    "rate_limited": 429,
    "limited": 429,
    "overloaded": 503,
    "unreachable": 503,
    "no_candidate": 503,
    "server_error": 502,
    "interrupted": 502,
    "malformed_reply": 502,
    "unauthorized": 502,
    "timed_out": 504,
    "expired": 504,
    "not_found": 404,
    "unknown_model": 404,
    "conflict": 409,
    "duplicate": 409,
    "cancelled": 499,
}
_OPENAI_CODE = {"context_too_long": "context_length_exceeded", "unknown_model": "model_not_found", "not_found": "model_not_found"}
_OPENAI_TYPE = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    499: "request_cancelled",
}
_ANTHROPIC_TYPE = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_ANTHROPIC_OVERLOADED = 529


@dataclass(frozen=True, slots=True)
class Refusal:
    """`code` is our word for what is wrong; `parameter` the field at fault; `retry_after_s` where trying again may help."""

    status: int
    code: str
    message: str
    parameter: str | None = None
    retry_after_s: int | None = None

    def openai(self) -> dict[str, Any]:
        """The body of an error in OpenAI's shape."""
        kind = _OPENAI_TYPE.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        code = _OPENAI_CODE.get(self.code, self.code)
        return {"error": {"message": self.message, "type": kind, "param": self.parameter, "code": code}}

    def anthropic(self, request_id: str) -> dict[str, Any]:
        """The body of an error in Anthropic's shape."""
        kind = _ANTHROPIC_TYPE.get(self.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": self.message}, "request_id": request_id}

    @property
    def anthropic_status(self) -> int:
        """Anthropic says 529 where others say 503."""
        return _ANTHROPIC_OVERLOADED if self.status == 503 else self.status

    def native(self) -> dict[str, Any]:
        """The body of an error of our own interface: a problem of RFC 9457."""
        return {"title": self.code, "status": self.status, "detail": self.message}


def refusal_of(error: ErrorInfo) -> Refusal:
    """What a final response without an answer comes to over HTTP.

    >>> refusal_of(ErrorInfo("limited", "try later", retryable=True)).status
    429
    """
    status = _STATUS.get(error.kind) or (503 if error.retryable else 400)
    return Refusal(status, error.kind, error.message, retry_after_s=RETRY_AFTER_S if error.retryable else None)
