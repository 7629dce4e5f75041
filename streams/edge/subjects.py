"""The built-in schemas as a Confluent registry presents them: subjects, versions, ids.

One subject a topic, `<topic>-value`; the subjects of all providers' orders share one schema. Nothing here reads a clock or a
socket: the HTTP face is `streams.edge.catalogue`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastavro.schema import SchemaParseException, parse_schema, to_parsing_canonical_form

from schemas.catalogue import RegisteredSchema, builtin
from streams import topics

LATEST = ("latest", "-1")


class Refused(Exception):
    """A request that the registry protocol answers with an error; `code` is Confluent's, its first three digits the status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        return int(str(self.code)[:3])


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one subject."""

    subject: str
    schema: RegisteredSchema

    def as_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "version": self.schema.version,
            "id": self.schema.id,
            "schemaType": "AVRO",
            "schema": self.schema.text,
        }


class Subjects:
    """What the registry holds. All methods raise Refused for what it does not."""

    def __init__(self, providers: Iterable[str] = ()) -> None:
        self._records = {topic.subject: topic.record.__name__ for topic in topics.all_topics(providers).values()}
        self._by_id = builtin()
        self._canonical = {schema_id: to_parsing_canonical_form(s.parsed) for schema_id, s in self._by_id.items()}

    def names(self, prefix: str = "") -> list[str]:
        """Every subject; with providers that were not named at the start, theirs stay out but still answer."""
        return sorted(name for name in self._records if name.startswith(prefix))

    def versions(self, subject: str) -> list[Version]:
        """All versions of a subject, oldest first."""
        record = self._record(subject)
        found = [Version(subject, schema) for schema in self._by_id.values() if schema.name == record]
        return sorted(found, key=lambda version: version.schema.version)

    def version(self, subject: str, wanted: str) -> Version:
        """One version by its number, or `latest`."""
        versions = self.versions(subject)
        if wanted in LATEST:
            return versions[-1]
        if not wanted.isdecimal() or int(wanted) < 1:
            raise Refused(
                42202,
                f"The specified version '{wanted}' is not a valid version id. Allowed values are between [1, 2^31-1] "
                'and the string "latest"',
            )
        for version in versions:
            if version.schema.version == int(wanted):
                return version
        raise Refused(40402, f"Version {wanted} not found.")

    def schema(self, schema_id: str) -> RegisteredSchema:
        """A schema by its id."""
        if schema_id.isdecimal() and (found := self._by_id.get(int(schema_id))) is not None:
            return found
        raise Refused(40403, f"Schema {schema_id[:40]} not found")

    def of_schema(self, schema_id: str) -> list[Version]:
        """Where a schema is used."""
        schema = self.schema(schema_id)
        return [version for name in self.names() for version in self.versions(name) if version.schema is schema]

    def look_up(self, subject: str, body: bytes) -> Version:
        """The version that writes the same bytes as the schema asked about.

        Schemas are compared in Avro's parsing canonical form, so documentation and layout do not matter.
        """
        versions = self.versions(subject)
        wanted = _canonical(body)
        for version in versions:
            if self._canonical[version.schema.id] == wanted:
                return version
        raise Refused(40403, "Schema not found")

    @property
    def highest_id(self) -> int:
        return max(self._by_id)

    def _record(self, subject: str) -> str:
        if (found := self._records.get(subject)) is not None:
            return found
        if subject.startswith(topics.CALLS_PREFIX) and subject.endswith("-value"):
            return "CallOrdered"
        raise Refused(40401, f"Subject '{subject[:200]}' not found.")


def _canonical(body: bytes) -> str:
    try:
        asked = json.loads(body)
        if asked.get("schemaType", "AVRO") != "AVRO":
            raise Refused(42201, f"Only AVRO schemas are held here, not {str(asked['schemaType'])[:20]}")
        return str(to_parsing_canonical_form(parse_schema(json.loads(asked["schema"]))))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, SchemaParseException) as error:
        raise Refused(42201, f"The body is no Avro schema in the registry's envelope: {type(error).__name__}") from error
