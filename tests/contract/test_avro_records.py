"""The .avsc files are the contract; the dataclasses are its Python face. They agree, field by field, all the way down."""

import dataclasses
import json
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

import schemas
from schemas.calls import FailureKind
from schemas.catalogue import builtin
from schemas.requests import Operation
from schemas.serde import RECORDS

AVRO = Path(schemas.__file__).parent / "avro"
FILES = sorted(AVRO.glob("*.avsc"))
NEWEST = {path.name.split(".")[0]: json.loads(path.read_text("utf-8")) for path in FILES}
PRIMITIVES = {"string": str, "bytes": bytes, "int": int, "long": int, "float": float, "double": float, "boolean": bool}

# A schema's default speaks for a writer who knew no such field. A Python sender that says nothing means chat.
DEFAULTS_THAT_DIFFER = {("InferenceRequest", "operation"): Operation.CHAT}


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda t: t.__name__)
def test_fields_types_nullability_and_defaults_agree(record_type: type) -> None:
    assert list(differences(NEWEST[record_type.__name__], record_type, record_type.__name__)) == []


def differences(schema: Any, face: Any, where: str) -> Iterator[str]:
    """What in a Python annotation disagrees with an Avro type."""
    if not isinstance(schema, list) and _is_optional(face):
        yield f"{where}: {face} in Python, not nullable in Avro"
        return
    match schema:
        case ["null", inner]:
            yield from _expect(where, _is_optional(face), "nullable", face)
            yield from differences(inner, _required(face), where)
        case [*_]:
            yield f"{where}: a union is [null, one type], in this order"
        case {"type": "record"}:
            yield from _record_differences(schema, face, where)
        case {"type": "enum", "name": name, "symbols": symbols}:
            yield from _expect(where, issubclass(face, StrEnum) and face.__name__ == name, f"enum {name}", face)
            yield from _expect(where, [symbol.value for symbol in face] == symbols, f"symbols {symbols}", list(face))
        case {"type": "array", "items": items}:
            item, more = typing.get_args(face)
            yield from _expect(where, typing.get_origin(face) is tuple and more is Ellipsis, "tuple[T, ...]", face)
            yield from differences(items, item, f"{where}[]")
        case {"type": "map", "values": values}:
            key, value = typing.get_args(face)
            yield from _expect(where, typing.get_origin(face) is dict and key is str, "dict[str, T]", face)
            yield from differences(values, value, f"{where}{{}}")
        case str() if schema not in PRIMITIVES:
            # A type that was defined before is named.
            yield from _expect(where, face.__name__ == schema, schema, face)
        case {"type": "long", "logicalType": "timestamp-micros"}:
            yield from _expect(where, face is datetime, "datetime", face)
        case _:
            # Failure kinds grow without a new schema: a string on the wire, an enum that maps the unknown in Python.
            yield from _expect(where, face is PRIMITIVES[schema] or (schema == "string" and face is FailureKind), schema, face)


def _record_differences(schema: dict[str, Any], face: Any, where: str) -> Iterator[str]:
    if not dataclasses.is_dataclass(face) or face.__name__ != schema["name"]:
        yield f"{where}: record {schema['name']} in Avro, {face} in Python"
        return
    hints = typing.get_type_hints(face)
    fields = {field.name: field for field in dataclasses.fields(face)}
    if set(fields) != {field["name"] for field in schema["fields"]}:
        yield f"{where}: fields differ: {sorted(set(fields) ^ {f['name'] for f in schema['fields']})}"
        return
    for field in schema["fields"]:
        here = f"{where}.{field['name']}"
        yield from differences(field["type"], hints[field["name"]], here)
        if "default" in field:
            wanted = DEFAULTS_THAT_DIFFER.get((where, field["name"]), field["default"])
            given = _default(fields[field["name"]])
            # A schema's default also serves readers of older records; who makes one here may be asked to say more.
            if given is not ... and given != wanted:
                yield f"{here}: default {wanted!r} in Avro, {given!r} in Python"


def _default(field: dataclasses.Field[Any]) -> Any:
    """A field's default as JSON would spell it; `...` when there is none."""
    value = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
    if value is dataclasses.MISSING:
        return ...
    return json.loads(json.dumps(dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value))


def _is_optional(face: Any) -> bool:
    return isinstance(face, types.UnionType) and type(None) in typing.get_args(face)


def _required(face: Any) -> Any:
    return next((arg for arg in typing.get_args(face) if arg is not type(None)), face)


def _expect(where: str, holds: bool, wanted: str, face: Any) -> Iterator[str]:
    if not holds:
        yield f"{where}: {wanted} in Avro, {face} in Python"


def named_types(schema: Any) -> Iterator[dict[str, Any]]:
    """Every record and enum defined inside a schema, outermost first."""
    if isinstance(schema, list):
        for branch in schema:
            yield from named_types(branch)
    elif isinstance(schema, dict):
        if "name" in schema:
            yield schema
        for field in schema.get("fields", ()):
            yield from named_types(field["type"])
        for inner in ("items", "values"):
            yield from named_types(schema.get(inner))
        if not isinstance(schema["type"], str):
            yield from named_types(schema["type"])


def test_a_type_that_several_schemas_carry_is_the_same_in_all_of_them() -> None:
    first: dict[str, tuple[str, str]] = {}
    differing = []
    for path in FILES:
        for defined in named_types(json.loads(path.read_text("utf-8"))):
            text = json.dumps({k: v for k, v in defined.items() if k != "namespace"}, sort_keys=True)
            where, known = first.setdefault(defined["name"], (path.name, text))
            if known != text:
                differing.append(f"{defined['name']} of {path.name} is not that of {where}")
    assert differing == []
    assert {"Usage", "Output", "Operation", "Failure", "CostTotal"} <= set(first), "the walk must meet the nested types"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_schema_can_grow(path: Path) -> None:
    """Nullable fields default to null and enums to a symbol, so that old readers read new records and the other way round."""
    schema = json.loads(path.read_text("utf-8"))
    assert schema["namespace"] == "ai.penstock.v1"
    assert f"{schema['name']}.v" in path.name
    for defined in named_types(schema):
        assert defined.get("doc"), f"{defined['name']} has no doc"
        if defined["type"] == "enum":
            assert defined.get("default") in defined["symbols"], f"enum {defined['name']} has no default symbol"
        for field in defined.get("fields", ()):
            if isinstance(field["type"], list):
                assert field["type"][0] == "null", f"{defined['name']}.{field['name']}"
                assert "default" in field, f"{defined['name']}.{field['name']}"
                assert field["default"] is None, f"{defined['name']}.{field['name']}"


def test_every_file_has_one_id_and_every_record_type_a_file() -> None:
    schemas_by_id = builtin()
    assert len(schemas_by_id) == len(FILES)
    assert {f"{s.name}.v{s.version}.avsc" for s in schemas_by_id.values()} == {path.name for path in FILES}
    assert all(schema_id == schema.id > 0 for schema_id, schema in schemas_by_id.items())
    assert {t.__name__ for t in RECORDS} == {s.name for s in schemas_by_id.values()}


@pytest.mark.parametrize(
    ("planted", "told"),
    [
        pytest.param(("fields", 0, {"name": "request_no", "type": "string"}), "fields differ", id="renamed"),
        pytest.param(("fields", 0, {"name": "request_id", "type": "long"}), "request_id: long", id="another type"),
        pytest.param(("fields", 0, {"name": "request_id", "type": ["null", "string"]}), "request_id: nullable", id="nullable"),
        pytest.param(("fields", 2, {"name": "user", "type": "string"}), "user", id="not nullable"),
        pytest.param(("fields", 17, {"name": "stream", "type": "boolean", "default": True}), "default", id="another default"),
        pytest.param(("fields", 4, {"name": "operation", "type": {"type": "enum", "name": "Operation", "symbols": ["chat"]}}),
                     "symbols", id="symbols lost"),
    ],
)  # fmt: skip
def test_a_difference_that_is_planted_is_found(planted: tuple[str, int, dict[str, Any]], told: str) -> None:
    schema = json.loads((AVRO / "InferenceRequest.v1.avsc").read_text("utf-8"))
    part, index, field = planted
    assert told == "fields differ" or schema[part][index]["name"] == field["name"], "the plant must replace the field it names"
    schema[part][index] = field
    (record_type,) = (t for t in RECORDS if t.__name__ == "InferenceRequest")
    found = list(differences(schema, record_type, "InferenceRequest"))
    assert len(found) == 1
    assert told in found[0]
