"""The native interface's requests: the fields of InferenceRequest as JSON. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from processors.api.bad_request import BadRequest
from processors.api.request_line import from_request_line
from processors.route.catalogue import AUTO
from schemas.requests import InferenceRequest
from streams.edge.asking import TIMEOUT_HEADER

MAX_WAIT_S = 300.0
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)


def request_of(body: Mapping[str, Any], *, request_id: str, tenant: str) -> InferenceRequest:
    """The request of a body. Raises BadRequest, also for an id or a tenant in the body: both are the edge's to say."""
    if "request_id" in body:
        raise BadRequest("`request_id` is made by the edge: send an Idempotency-Key to have a request asked once", "request_id")
    if "tenant" in body:
        raise BadRequest("`tenant` is that of the key, and stands in no body", "tenant")
    request = from_request_line(body, request_id=request_id, tenant=tenant, model=AUTO)
    if request.deadline is not None and request.deadline.tzinfo is None:
        raise BadRequest("`deadline` must say its offset from UTC, e.g. 2026-01-31T15:00:00Z", "deadline")
    return request


def with_deadline(headers: Mapping[str, str], deadline: datetime | None, now: datetime) -> Mapping[str, str]:
    """The headers, with a deadline of the body as the patience that it comes to. Raises BadRequest for one that is over."""
    if deadline is None:
        return headers
    left_s = (deadline - now).total_seconds()
    if left_s <= 0:
        raise BadRequest("`deadline` is over", "deadline")
    return {**headers, TIMEOUT_HEADER: f"{left_s:.3f}"}


def wait_s(headers: Mapping[str, str]) -> float | None:
    """How long `Prefer: wait=n` waits (RFC 7240), at most five minutes; None without it.

    >>> wait_s({"prefer": "respond-async, wait=10"}), wait_s({"prefer": "handling=lenient"}), wait_s({"prefer": "wait=99999"})
    (10.0, None, 300.0)
    """
    found = _WAIT.search(headers.get("prefer", ""))
    return None if found is None else min(float(found[1]), MAX_WAIT_S)
