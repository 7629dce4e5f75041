"""The paths of the schema catalogue, read-only, as Confluent's registry has them."""

from processors.api.openapi import Answer, Described, Errors, Parameter
from processors.api.openapi_schemas import OBJECTS, TEXT, Schema, an_object

_MEDIA = (Errors.REGISTRY.media,)
_SUBJECT: Schema = {"type": "object", "properties": {"subject": TEXT, "version": {"type": "integer"}, "id": {"type": "integer"}}}
_NUMBERS: Schema = {"type": "array", "items": {"type": "integer"}}
_WORDS: Schema = {"type": "array", "items": {"type": "string"}}
_OBJECT: Schema = {"type": "object"}
_PREFIX = Parameter("subjectPrefix", "The beginning of the subjects' names.", {"type": "string"})
_GLOBAL = Parameter("defaultToGlobal", "`true`: a subject without a level of its own has the common one.", {"type": "string"})
_EXAMPLES = {"subject": "ai.requests-value", "version": "latest", "id": "1"}
_SENT = an_object("schema", schema={"type": "string"}, schemaType={"enum": ["AVRO"]})


def _read(path: str, summary: str, schema: Schema, *parameters: Parameter, statuses: tuple[int, ...] = ()) -> Described:
    answer = Answer(summary, schema, _MEDIA)
    return Described(
        "GET", f"/schemas{path}", "Schemas", summary, answer, Errors.REGISTRY, statuses, parameters=parameters, examples=_EXAMPLES
    )


def _sent(path: str, summary: str, schema: Schema) -> Described:
    answer = Answer(summary, schema, _MEDIA)
    return Described(
        "POST", f"/schemas{path}", "Schemas", summary, answer, Errors.REGISTRY, (404, 422), body=_SENT, examples=_EXAMPLES
    )


_VERSION = "/subjects/{subject}/versions/{version}"
_ID = "/schemas/ids/{id}"
_NOT_THERE = (404,)
_NO_VERSION = (404, 422)

TABLE = (
    _read("", "That a registry is here.", _OBJECT),
    _read("/subjects", "The subjects, one a topic.", _WORDS, _PREFIX),
    _read("/subjects/{subject}/versions", "The versions of a subject.", _NUMBERS, statuses=_NOT_THERE),
    _sent("/subjects/{subject}/versions", "The id of a schema that stands there; no other is taken.", _OBJECT),
    _sent("/subjects/{subject}", "The version that writes the same bytes as a schema.", _SUBJECT),
    _read(_VERSION, "One version: a number, or `latest`.", _SUBJECT, statuses=_NO_VERSION),
    _read(f"{_VERSION}/schema", "Its schema alone.", {}, statuses=_NO_VERSION),
    _read(f"{_VERSION}/referencedby", "The schemas that refer to it: none.", _NUMBERS, statuses=_NO_VERSION),
    _read("/schemas", "Every version of every subject.", OBJECTS, _PREFIX),
    _read("/schemas/types", "The kinds of schemas: Avro.", _WORDS),
    _read(_ID, "A schema by its id.", _OBJECT, statuses=_NOT_THERE),
    _read(f"{_ID}/schema", "Its schema alone.", {}, statuses=_NOT_THERE),
    _read(f"{_ID}/versions", "Where it is used.", OBJECTS, statuses=_NOT_THERE),
    _read(f"{_ID}/subjects", "The subjects that use it.", _WORDS, statuses=_NOT_THERE),
    _read("/config", "The compatibility that new versions keep.", _OBJECT),
    _read("/config/{subject}", "The same of a subject.", _OBJECT, _GLOBAL, statuses=_NOT_THERE),
    _read("/mode", "That it is read-only.", _OBJECT),
    _read("/mode/{subject}", "The same of a subject.", _OBJECT),
    _read("/contexts", "The contexts: one.", _WORDS),
)
