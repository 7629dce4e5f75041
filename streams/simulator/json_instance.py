"""The smallest honest instance of a JSON schema: what a model in JSON mode, or one that calls a tool, answers with."""

from collections.abc import Mapping
from typing import Any

from streams.simulator.chance import draw
from streams.simulator.text import text_of

_MAX_DEPTH = 12
_MAX_VALUES = 5_000
_MAX_ITEMS = 1_000
_MAX_LENGTH = 100_000
_FORMATS = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
}


class BadSchema(ValueError):
    """A keyword of the schema holds what it cannot hold."""


def instance(schema: Any, *, seed: int) -> Any:
    """A value that fits `schema` (the subset that providers accept for structured output).

    Understood: type, enum, const, properties, items, prefixItems, minItems, minLength, maxLength, minimum, maximum, anyOf, oneOf,
    allOf, local $ref, common formats, and Google's upper-case type names. `pattern` is not. A schema that asks for more
    than 5,000 values, or refers to itself without end, gets empty objects and lists from there on. Raises BadSchema.

    >>> instance({"type": "object", "properties": {"ok": {"type": "boolean"}, "n": {"enum": [4]}}}, seed=1)
    {'ok': True, 'n': 4}
    """
    try:
        return _Builder(schema).value(schema, seed=seed, depth=0)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise BadSchema(f"The JSON schema is not valid ({type(error).__name__}).") from error


class _Builder:
    """Builds one instance. Counts the values, so that a hostile schema ends too."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MAX_VALUES

    def value(self, schema: Any, *, seed: int, depth: int) -> Any:
        self._left -= 1
        if not isinstance(schema, Mapping):
            return {}
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if choices := schema.get("enum"):
            return choices[draw(seed, depth) % len(choices)]
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(options[-1 if self._deep(depth) else 0], seed=seed, depth=depth + 1) if depth < 99 else None
        kind = _kind(schema)
        if kind == "object":
            return self._object(schema, seed=seed, depth=depth)
        return self._array(schema, seed=seed, depth=depth) if kind == "array" else _scalar(kind, schema, seed=draw(seed, depth))

    def _deep(self, depth: int) -> bool:
        return depth >= _MAX_DEPTH or self._left <= 0

    def _resolved(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """The schema with local references followed and `allOf` merged in."""
        for _ in range(_MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str) or not reference.startswith("#"):
                break
            target = self._root
            for step in filter(None, reference[1:].split("/")):
                target = target.get(step, {}) if isinstance(target, Mapping) else {}
            if not isinstance(target, Mapping):
                return {}
            schema = {**{k: v for k, v in schema.items() if k != "$ref"}, **target}
        merged = dict(schema)
        for part in schema.get("allOf") or ():
            self._left -= 1
            if isinstance(part, Mapping) and not self._deep(depth):
                whole = self._resolved(part, depth + 1)
                merged = {**merged, **whole, "properties": {**merged.get("properties", {}), **whole.get("properties", {})}}
        return merged

    def _object(self, schema: Mapping[str, Any], *, seed: int, depth: int) -> dict[str, Any]:
        properties = {} if self._deep(depth) else schema.get("properties") or {}
        return {name: self.value(part, seed=draw(seed, i), depth=depth + 1) for i, (name, part) in enumerate(properties.items())}

    def _array(self, schema: Mapping[str, Any], *, seed: int, depth: int) -> list[Any]:
        if self._deep(depth):
            return []
        parts = schema.get("prefixItems") or ()
        if not parts:
            size = min(max(int(schema.get("minItems", 1)), 0), _MAX_ITEMS)
            parts = [schema.get("items", {"type": "string"})] * size
        return [self.value(part, seed=draw(seed, i), depth=depth + 1) for i, part in enumerate(parts)]


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind.lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else "string"


def _scalar(kind: str, schema: Mapping[str, Any], *, seed: int) -> Any:
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return _number(kind, schema, seed) if kind in {"integer", "number"} else _text(schema, seed)


def _number(kind: str, schema: Mapping[str, Any], seed: int) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    high = schema.get("maximum", low + 9)
    value = low + seed % (int(high - low) + 1) if high >= low else high
    return int(value) if kind == "integer" else float(value)


def _text(schema: Mapping[str, Any], seed: int) -> str:
    if known := _FORMATS.get(str(schema.get("format"))):
        return known
    shortest = min(int(schema.get("minLength", 0)), _MAX_LENGTH)
    text = text_of(max(3, -(-shortest // 2)), seed=seed)  # each word is at least two characters with its space
    return text[: int(schema.get("maxLength", len(text)))]
