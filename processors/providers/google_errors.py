"""Google's error replies. https://cloud.google.com/apis/design/errors names their parts."""

import re
from collections.abc import Mapping
from typing import Any

from processors.providers.failures import refusal
from schemas.calls import Failure

_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)s\Z")


def refusal_in(provider: str, reply: Any, status: int, headers: Mapping[str, str]) -> Failure:
    """The Failure of `{"error": {"code", "message", "status", "details"}}`; a RetryInfo among them is Google's Retry-After."""
    error = reply.get("error") if isinstance(reply, dict) else None
    error = error if isinstance(error, dict) else {}
    code = error.get("code")
    details = error.get("details")
    reasons = [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    # A bad key is a 400 here, with the reason API_KEY_INVALID.
    if any(d.get("reason") == "API_KEY_INVALID" for d in reasons):
        status = 401
    elif type(code) is int and 400 <= code <= 599:
        status = code
    return refusal(
        provider,
        status,
        headers,
        code=error.get("status"),
        prose=str(error.get("message")),
        retry_after_s=next((s for d in reasons if (s := _seconds(d.get("retryDelay"))) is not None), None),
    )


def _seconds(duration: Any) -> float | None:
    """Protobuf's JSON duration.

    >>> _seconds("3.5s"), _seconds("soon")
    (3.5, None)
    """
    match = _DURATION.match(duration) if isinstance(duration, str) else None
    return float(match[1]) if match else None
