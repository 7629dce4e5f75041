"""A request from plain fields, as a program writes them. Pure, but for ids and deadlines, which the caller gives."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from schemas.errors import MalformedRecord
from schemas.requests import InferenceRequest

_JSON = "_json"


def request_of(given: Mapping[str, Any], *, request_id: str, tenant: str) -> InferenceRequest:
    """The request of these fields; `request_id`, `tenant` and `model` (`auto`) may be left out.

    Parts may be records (`Message("user", "Hi")`) or mappings, and where the record has JSON text (`tools_json`), the JSON itself
    may stand under the name without `_json`. Raises MalformedRecord, naming the field, also for one that there is not.

    >>> request_of({"messages": [{"role": "user", "content": "Hi"}], "tools": []}, request_id="r", tenant="acme").tools_json
    '[]'
    >>> request_of({"massages": []}, request_id="r", tenant="acme")
    Traceback (most recent call last):
    schemas.errors.MalformedRecord: there is no field `massages` in InferenceRequest
    """
    named = {"request_id": request_id, "tenant": tenant, "model": "auto", **given}
    try:
        request = _adapter().validate_python(_plain(named, InferenceRequest))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedRecord("invalid", f"InferenceRequest.{where}: {first['msg']}") from None
    return checked(request)


def checked(request: InferenceRequest) -> InferenceRequest:
    """The request, if it can be published. Raises MalformedRecord for one without an id or a tenant, or with a vague deadline."""
    for name in ("request_id", "tenant"):
        if not getattr(request, name):
            raise MalformedRecord("invalid", f"InferenceRequest.{name} must not be empty")
    if request.deadline is not None and request.deadline.tzinfo is None:
        raise MalformedRecord("invalid", "InferenceRequest.deadline must say its offset from UTC: datetime.now(UTC) + ...")
    return request


def _plain(given: Mapping[str, Any], record_type: Any) -> dict[str, Any]:
    """The fields with JSON put as text. A name that the record does not have is refused: a typo would be silent else."""
    types = _types_of(record_type)
    out: dict[str, Any] = {}
    for name, item in given.items():
        if name in types:
            out[name] = _nested(item, types[name])
        elif f"{name}{_JSON}" in types:
            out[f"{name}{_JSON}"] = None if item is None else json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        else:
            raise MalformedRecord("invalid", f"there is no field `{name}` in {record_type.__name__}")
    return out


def _nested(item: Any, record_type: type[Any] | None) -> Any:
    if record_type is None:
        return item
    if isinstance(item, list | tuple):
        return tuple(_nested(each, record_type) for each in item)
    return _plain(item, record_type) if isinstance(item, Mapping) else item


@cache
def _types_of(record_type: Any) -> dict[str, type[Any] | None]:
    """The fields of a record, each with the record that it holds (one or many), if any."""
    hints = get_type_hints(record_type)
    return {field.name: _record_in(hints[field.name]) for field in fields(record_type)}


def _record_in(hint: Any) -> type[Any] | None:
    if get_origin(hint) in {tuple, UnionType}:
        return next((found for arg in get_args(hint) if (found := _record_in(arg)) is not None), None)
    return hint if isinstance(hint, type) and is_dataclass(hint) else None


@cache
def _adapter() -> TypeAdapter[InferenceRequest]:
    return TypeAdapter(InferenceRequest)
