"""The built-in schema catalogue: fixed ids for the schemas under `schemas/avro/`.

Ids are written by hand and append-only: a released pair of id and schema never changes, for records in the log carry the id.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro

from schemas.errors import UnknownSchema

_IDS: Mapping[int, tuple[str, int]] = {
    1: ("InferenceRequest", 1),
    2: ("RequestRouted", 1),
    3: ("CallOrdered", 1),
    4: ("CallReported", 1),
    5: ("InferenceResponse", 1),
    6: ("CostEvent", 1),
    7: ("CostTotal", 1),
    8: ("DispatchChange", 1),
    9: ("ResponseChunk", 1),
    10: ("HealthEvent", 1),
    11: ("DeadLetter", 1),
    12: ("AlertRaised", 1),
    13: ("FeedbackGiven", 1),
    14: ("SemanticEntry", 1),
    15: ("KeyIssued", 1),
    16: ("IdempotencyClaim", 1),
    17: ("CancelRequested", 1),
    18: ("FilePart", 1),
    19: ("BatchChanged", 1),
    20: ("WebhookEndpoint", 1),
    21: ("WebhookDelivery", 1),
    22: ("RoutingConfigured", 1),
}


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One schema under its id: `text` as published, `parsed` as fastavro wants it."""

    id: int
    name: str
    version: int
    text: str
    parsed: Any


class Catalogue:
    """Schemas by id and by record name.

    Starts with the built-in ids; a registry's own ids are added by `learn` and `assign`, so that one object answers for both.
    """

    def __init__(self, schemas: Mapping[int, RegisteredSchema] | None = None) -> None:
        self._by_id = dict(builtin() if schemas is None else schemas)
        self._ours = {schema.name: schema for schema in sorted(builtin().values(), key=lambda s: s.version)}
        self._write_ids = {name: schema.id for name, schema in self._ours.items()}

    def ours(self, name: str) -> RegisteredSchema:
        """The newest built-in schema of the record `name`."""
        return self._ours[name]

    def write_id(self, name: str) -> int:
        """The id that records of this name are published under."""
        return self._write_ids[name]

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """Raises UnknownSchema."""
        try:
            return self._by_id[schema_id]
        except KeyError:
            raise UnknownSchema(schema_id) from None

    def knows(self, schema_id: int) -> bool:
        """Whether `by_id` has it."""
        return schema_id in self._by_id

    def learn(self, schema_id: int, text: str) -> RegisteredSchema:
        """Add a writer's schema under the id that its registry gave it."""
        parsed = fastavro.parse_schema(json.loads(text))
        name = str(parsed["name"]).rpartition(".")[2]
        schema = RegisteredSchema(schema_id, name, version=0, text=text, parsed=parsed)
        self._by_id[schema_id] = schema
        return schema

    def assign(self, name: str, schema_id: int) -> None:
        """Publish records of this name under a registry's id from now on."""
        ours = self._ours[name]
        self._by_id[schema_id] = RegisteredSchema(schema_id, name, ours.version, ours.text, ours.parsed)
        self._write_ids[name] = schema_id

    def forget_builtin_ids(self) -> None:
        """With a registry, ids are the registry's alone: a built-in id would decode a stranger's record wrongly."""
        self._by_id = {}


@cache
def builtin() -> Mapping[int, RegisteredSchema]:
    """All built-in schemas by id."""
    return {schema_id: _read(schema_id, name, version) for schema_id, (name, version) in _IDS.items()}


def _read(schema_id: int, name: str, version: int) -> RegisteredSchema:
    source = files("schemas").joinpath("avro", f"{name}.v{version}.avsc").read_text(encoding="utf-8")
    schema = json.loads(source)
    text = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
    return RegisteredSchema(schema_id, name, version, text, fastavro.parse_schema(schema))
