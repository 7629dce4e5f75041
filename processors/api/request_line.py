"""Requests of ours as JSON lines: the fields of InferenceRequest by their names in the schema.

Pure. Left out are taken: `request_id` (from the file and the line), `tenant` and `model` (from the options).
"""

from collections.abc import Mapping
from typing import Any

from processors.api.bad_request import BadRequest
from schemas.errors import MalformedRecord
from schemas.from_fields import request_from_fields
from schemas.requests import InferenceRequest


def from_request_line(line: Mapping[str, Any], *, request_id: str, tenant: str, model: str) -> InferenceRequest:
    """The request of one line. Raises BadRequest, which names the field."""
    try:
        return request_from_fields({"request_id": request_id, "tenant": tenant, "model": model, **line})
    except MalformedRecord as error:
        raise BadRequest(str(error)) from None
