"""Reading the fields of a client's body. Each raises BadRequest with the field's name and quotes nothing else."""

import json
from collections.abc import Mapping
from typing import Any

from processors.api.bad_request import BadRequest
from schemas.requests import ContentPart

_MOST = 2**63 - 1
"""The records' whole numbers have 64 bits."""


def compact(value: Any) -> str:
    """JSON as our records carry it."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    except RecursionError as error:
        raise BadRequest("the body nests too deeply") from error


def text(value: Any, name: str, *, optional: bool = False) -> Any:
    if (value is None and optional) or (isinstance(value, str) and value):
        return value
    raise BadRequest(f"{name} must be a text that is not empty", name)


def texts(value: Any, name: str) -> tuple[str, ...]:
    """One text or a list of them."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise BadRequest(f"`{name}` must be a text or a list of texts (lists of token numbers are not supported)", name)


def number(value: Any, name: str) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadRequest(f"`{name}` must be a number", name)


def whole(value: Any, name: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST):
        return value
    raise BadRequest(f"`{name}` must be a whole number", name)


def flag(value: Any, name: str) -> bool:
    """False when it is not there."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise BadRequest(f"`{name}` must be true or false", name)


def objects(value: Any, name: str) -> list[dict[str, Any]]:
    """A list of objects; empty when it is not there."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise BadRequest(f"`{name}` must be a list of objects", name)


def an_object(value: Any, name: str) -> dict[str, Any]:
    """An object; empty when it is not there."""
    if value is None or isinstance(value, dict):
        return value or {}
    raise BadRequest(f"`{name}` must be an object", name)


def metadata(value: Any) -> dict[str, str]:
    """Names and texts; what is no text is written as JSON."""
    return {str(name): each if isinstance(each, str) else compact(each) for name, each in an_object(value, "metadata").items()}


def as_given(part: Mapping[str, Any]) -> ContentPart:
    """A part that only the provider of its shape understands: it goes there as it is."""
    return ContentPart(str(part["type"]), data_json=compact(part))
