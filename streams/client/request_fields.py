"""What a program may publish. Pure, but for ids and deadlines, which the caller gives."""

from collections.abc import Mapping
from typing import Any

from schemas.errors import MalformedRecord
from schemas.from_fields import request_from_fields
from schemas.requests import InferenceRequest


def request_of(given: Mapping[str, Any], *, request_id: str, tenant: str) -> InferenceRequest:
    """The request of these fields; `request_id`, `tenant` and `model` (`auto`) may be left out.

    Raises MalformedRecord, naming the field, also for one that there is not.
    """
    return checked(request_from_fields({"request_id": request_id, "tenant": tenant, "model": "auto", **given}))


def checked(request: InferenceRequest) -> InferenceRequest:
    """The request, if it can be published. Raises MalformedRecord for one without an id or a tenant, or with a vague deadline."""
    for name in ("request_id", "tenant"):
        if not getattr(request, name):
            raise MalformedRecord("invalid", f"InferenceRequest.{name} must not be empty")
    if request.deadline is not None and request.deadline.tzinfo is None:
        raise MalformedRecord("invalid", "InferenceRequest.deadline must say its offset from UTC: datetime.now(UTC) + ...")
    return request
