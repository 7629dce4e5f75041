"""Records of every type, drawn from what the schema and the dataclass together allow."""

import typing
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from schemas.calls import FailureKind
from schemas.catalogue import Catalogue
from schemas.serde import RECORDS

_INT = st.integers(-(2**31), 2**31 - 1)
_LONG = st.integers(-(2**63), 2**63 - 1)
_SCALARS = {
    "string": st.text(max_size=20),
    "bytes": st.binary(max_size=20),
    "int": _INT,
    "long": _LONG,
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "boolean": st.booleans(),
}
_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - the bounds are naive


def records() -> dict[type[Any], st.SearchStrategy[Any]]:
    """A strategy for every record type."""
    catalogue = Catalogue()
    return {t: _values(catalogue.ours(t.__name__).parsed, t, {}) for t in RECORDS}


def _values(schema: Any, face: Any, known: dict[str, Any]) -> st.SearchStrategy[Any]:
    """`known` holds the definitions met so far: parsed schemas name a type again instead of repeating it."""
    if isinstance(schema, str) and schema in known:
        schema = known[schema]
    match schema:
        case ["null", inner]:
            (required,) = (arg for arg in typing.get_args(face) if arg is not type(None))
            found = st.none() | _values(inner, required, known)
        case {"type": "record", "name": name, "fields": fields}:
            known[name] = schema
            hints = typing.get_type_hints(face)
            found = st.builds(face, **{f["name"]: _values(f["type"], hints[f["name"]], known) for f in fields})
        case {"type": "enum", "name": name}:
            known[name] = schema
            found = st.sampled_from(face)
        case {"type": "array", "items": items}:
            found = st.lists(_values(items, typing.get_args(face)[0], known), max_size=3).map(tuple)
        case {"type": "map", "values": values}:
            found = st.dictionaries(st.text(max_size=5), _values(values, typing.get_args(face)[1], known), max_size=3)
        case {"logicalType": "timestamp-micros"}:
            found = _TIMES
        case _:
            found = st.sampled_from(FailureKind) if face is FailureKind else _SCALARS[schema]
    return found
