"""Our records' Avro schemas as JSON Schema: what their JSON over HTTP looks like."""

import json
from collections.abc import Mapping
from typing import Any

from schemas.catalogue import builtin

_NUMBERS: Mapping[str, dict[str, Any]] = {
    "int": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "double": {"type": "number"},
}
_PLAIN: Mapping[str, dict[str, Any]] = {
    **_NUMBERS,
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "bytes": {"type": "object", "properties": {"base64": {"type": "string", "contentEncoding": "base64"}}},
}


def records(*names: str) -> dict[str, dict[str, Any]]:
    """The newest schemas of these records and of every type within them, by name, as components of an OpenAPI document.

    >>> records("CostTotal")["CostTotal"]["properties"]["calls"]["type"]
    'integer'
    """
    newest = {schema.name: schema for schema in sorted(builtin().values(), key=lambda each: each.version)}
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        _schema(json.loads(newest[name].text), found)
    return found


def _schema(avro: Any, named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The JSON Schema of an Avro type; what has a name goes into `named` and is referred to."""
    if isinstance(avro, list):
        return _union(avro, named)
    if isinstance(avro, str):
        return dict(_PLAIN[avro]) if avro in _PLAIN else _ref(avro)
    return _composed(avro, named)


def _composed(avro: Mapping[str, Any], named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    match avro["type"]:
        case "record":
            return _record(avro, named)
        case "enum":
            named[avro["name"]] = {"type": "string", "enum": avro["symbols"], **_doc(avro)}
            return _ref(avro["name"])
        case "array":
            return {"type": "array", "items": _schema(avro["items"], named)}
        case "map":
            return {"type": "object", "additionalProperties": _schema(avro["values"], named)}
        case inner if str(avro.get("logicalType", "")).startswith("timestamp"):
            return {"type": "string", "format": "date-time"}
        case inner:
            return _schema(inner, named)


def _record(avro: Mapping[str, Any], named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = avro["name"]
    named[name] = {}  # a type that holds itself refers to this place
    properties = {field["name"]: {**_schema(field["type"], named), **_doc(field)} for field in avro["fields"]}
    required = [field["name"] for field in avro["fields"] if "default" not in field]
    named[name] = {"type": "object", **_doc(avro), "properties": properties, **({"required": required} if required else {})}
    return _ref(name)


def _union(members: list[Any], named: dict[str, dict[str, Any]]) -> dict[str, Any]:
    choices = [_schema(member, named) for member in members if member != "null"]
    if "null" not in members:
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    if len(choices) == 1 and "$ref" not in choices[0] and isinstance(choices[0].get("type"), str):
        return {**choices[0], "type": [choices[0]["type"], "null"]}
    return {"anyOf": [*choices, {"type": "null"}]}


def _doc(avro: Mapping[str, Any]) -> dict[str, str]:
    return {"description": avro["doc"]} if avro.get("doc") else {}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name.rpartition('.')[2]}"}
