"""Requests of ours as JSON lines: the fields of InferenceRequest by their names in the schema.

Pure. Left out are taken: `request_id` (from the file and the line), `tenant` and `model` (from the options). Where the record
holds JSON text (`tools_json`, `arguments_json`, ...), the JSON itself may stand under the name without `_json`.
"""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from processors.api.bad_request import BadRequest
from schemas.requests import InferenceRequest

_JSON = "_json"


def from_request_line(line: Mapping[str, Any], *, request_id: str, tenant: str, model: str) -> InferenceRequest:
    """The request of one line. Raises BadRequest, which names the field."""
    given = _checked({"request_id": request_id, "tenant": tenant, "model": model, **line}, InferenceRequest, "")
    try:
        return _adapter().validate_python(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise BadRequest(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def _checked(value: Any, record_type: Any, where: str) -> Any:
    """`value` with JSON put as text. Raises BadRequest for a field that the record does not have: a typo would be silent else."""
    if not isinstance(value, Mapping):
        return value
    types = _types_of(record_type)
    out: dict[str, Any] = {}
    for name, item in value.items():
        if name in types:
            out[name] = _nested(item, types[name], f"{where}{name}")
        elif f"{name}{_JSON}" in types:
            out[f"{name}{_JSON}"] = None if item is None else json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        else:
            raise BadRequest(f"there is no field `{where}{str(name)[:60]}`; the fields are {', '.join(types)}")
    return out


def _nested(item: Any, record_type: type[Any] | None, where: str) -> Any:
    if record_type is None:
        return item
    if isinstance(item, list):
        return [_checked(each, record_type, f"{where}.") for each in item]
    return _checked(item, record_type, f"{where}.")


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
