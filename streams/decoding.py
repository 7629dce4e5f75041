"""Records for eyes and for scripts: decoded, and as JSON.

JSON has the field names of the schema, times in ISO 8601, money in integers of nano-dollars. Bytes that are themselves a framed
record (the request inside an order) appear decoded; other bytes as `{"base64": ...}`.
"""

import base64
from dataclasses import dataclass
from typing import Any

import orjson

from schemas.errors import RecordError
from schemas.serde import MAGIC, RECORDS, Serde, schema_id_of

_TYPES: dict[str, type[Any]] = {record.__name__: record for record in RECORDS}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value that is no record of ours."""

    reason: str
    message: str
    value_size: int


def decode(serde: Serde, value: bytes | None) -> Any:
    """The record of a framed value of whatever type it names; None for a tombstone; Unreadable, never an exception."""
    if value is None:
        return None
    try:
        return _decode(serde, value)
    except RecordError as error:
        return Unreadable(error.reason, str(error), len(value))


def dumps(value: Any, serde: Serde | None = None) -> bytes:
    """One line of JSON, its end included. With `serde`, framed bytes inside are shown decoded."""

    def default(found: Any) -> Any:
        if not isinstance(found, bytes):
            raise TypeError(f"{type(found).__name__} has no form in JSON")
        if serde is not None and found[:1] == MAGIC and not isinstance(inner := decode(serde, found), Unreadable):
            return inner
        return {"base64": base64.b64encode(found).decode("ascii")}

    return orjson.dumps(value, default=default, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _decode(serde: Serde, value: bytes) -> Any:
    name = serde.catalogue.by_id(schema_id_of(value)).name
    record_type = _TYPES.get(name)
    if record_type is None:
        raise RecordError("wrong_type", f"a {name} is no record of Penstock's")
    return serde.of(record_type).decode(value)
