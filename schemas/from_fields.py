"""A request from plain fields, as people and programs write them. Pure.

Parts may be records (`Message("user", "Hi")`) or mappings. Where a record holds JSON text (`tools_json`, `arguments_json`, ...),
the JSON itself may stand under the name without `_json`.
"""

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
_NAME_CHARS = 60


def request_from_fields(given: Mapping[str, Any]) -> InferenceRequest:
    """The request of these fields. Raises MalformedRecord, naming the field, also for one that there is not.

    >>> request_from_fields({"request_id": "r", "tenant": "acme", "model": "auto", "tools": []}).tools_json
    '[]'
    >>> request_from_fields({"request_id": "r", "tenant": "acme", "model": "auto", "cache": {"mod": "off"}})
    Traceback (most recent call last):
    schemas.errors.MalformedRecord: there is no field `cache.mod`; the fields are mode, ttl_s
    """
    try:
        return _adapter().validate_python(_plain(given, InferenceRequest, ""))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise MalformedRecord("invalid", f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _plain(given: Mapping[str, Any], record_type: Any, where: str) -> dict[str, Any]:
    """The fields with JSON put as text. A name that the record does not have is refused: a typo would be silent else."""
    types = _types_of(record_type)
    out: dict[str, Any] = {}
    for name, item in given.items():
        if name in types:
            out[name] = _nested(item, types[name], f"{where}{name}.")
        elif f"{name}{_JSON}" in types:
            out[f"{name}{_JSON}"] = None if item is None else json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        else:
            unknown = f"{where}{str(name)[:_NAME_CHARS]}"
            raise MalformedRecord("invalid", f"there is no field `{unknown}`; the fields are {', '.join(types)}")
    return out


def _nested(item: Any, record_type: type[Any] | None, where: str) -> Any:
    """Lists in lists are left to be refused: no field is one, and they may be nested deeper than the stack."""
    if record_type is None:
        return item
    if isinstance(item, list | tuple):
        return [_plain(each, record_type, where) if isinstance(each, Mapping) else each for each in item]
    return _plain(item, record_type, where) if isinstance(item, Mapping) else item


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
