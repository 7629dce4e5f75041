"""The OpenAPI 3.1 document of the edge: the paths that are mounted, each as it is described in `openapi_table`.

What is mounted and not described is named under `x-undescribed`, so that nobody takes the document for the whole; what is
described and not mounted is left out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

SSE = "text/event-stream"
UNDESCRIBED = "x-undescribed"
_VARIABLE, _NAME = re.compile(r"{(\w+)(?::\w+)?}"), r"{\1}"
_JSON = "application/json"
_WITH_KEY: list[dict[str, list[str]]] = [{"bearer": []}, {"xApiKey": []}]
_TITLES = {
    400: "The request cannot be read or asked.",
    401: "No valid key.",
    403: "The key has not the role.",
    404: "There is no such thing, or it is another tenant's.",
    405: "The path knows other methods.",
    408: "The body did not come in time.",
    409: "A request of the same Idempotency-Key is not answered yet, or what is asked for contradicts what is.",
    413: "The body, or the record made of it, is too large.",
    422: "The Idempotency-Key was sent with another body, or what is asked for cannot be done.",
    429: "A limit of the provider's, or of yours.",
    502: "Every call failed.",
    503: "No provider can be reached, or the log takes nothing.",
    504: "The deadline passed.",
    529: "No provider can be reached, or the log takes nothing.",
}


class Errors(StrEnum):
    """The schema of a path's errors."""

    OPENAI = "OpenAiError"
    ANTHROPIC = "AnthropicError"
    NATIVE = "Problem"
    REGISTRY = "RegistryError"

    @property
    def media(self) -> str:
        match self:
            case Errors.NATIVE:
                return "application/problem+json"
            case Errors.REGISTRY:
                return "application/vnd.schemaregistry.v1+json"
            case _:
                return _JSON


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes with a status. `schema`: a component's name, or a schema; None: nothing, or no JSON."""

    description: str
    schema: str | Mapping[str, Any] | None = None
    media: tuple[str, ...] = (_JSON,)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    description: str
    schema: Mapping[str, Any]
    place: str = "query"
    required: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path. Without `roles` no key is asked for; `status` is that of a success.

    `examples` are of the path's variables.
    """

    method: str
    path: str
    tag: str
    summary: str
    answer: Answer
    errors: Errors = Errors.NATIVE
    statuses: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    body: str | Mapping[str, Any] | None = None
    body_media: str = _JSON
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    description: str = ""
    status: int = 200
    others: Mapping[int, Answer] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def document(
    mounted: Iterable[tuple[str, str]],
    table: Iterable[Described],
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    version: str,
    description: str = "",
) -> dict[str, Any]:
    """The document of what is mounted: pairs of a method and a path, its variables in braces. It has the table's order.

    >>> health = Described("GET", "/health/live", "Operations", "Whether it runs.", Answer("It runs."))
    >>> list(document([("GET", "/health/live")], [health], {}, version="1")["paths"])
    ['/health/live']
    """
    names = {f"{method} {_VARIABLE.sub(_NAME, path)}" for method, path in mounted}
    here = [each for each in table if each.name in names]
    paths: dict[str, dict[str, Any]] = {}
    for each in here:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each)
    undescribed = sorted(names - {each.name for each in here})
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Penstock", "version": version, "description": description},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in here)],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "A key of `penstock keys create`, or a JWT."},
                "xApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "The same, elsewhere."},
            },
            "schemas": _used(paths, schemas),
        },
    }
    return whole | ({UNDESCRIBED: undescribed} if undescribed else {})


def _operation(described: Described) -> dict[str, Any]:
    parameters = [_path_parameter(name, described.examples.get(name)) for name in _VARIABLE.findall(described.path)]
    parameters += [
        {"name": p.name, "in": p.place, "required": p.required, "description": p.description, "schema": dict(p.schema)}
        for p in described.parameters
    ]
    need = f"Needs a key with the role {' or '.join(f'`{role}`' for role in described.roles)}." if described.roles else ""
    told = "\n\n".join(filter(None, (described.description, need)))
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{described.method.lower()}{described.path}").strip("_"),
        "tags": [described.tag],
        "summary": described.summary,
        **({"description": told} if told else {}),
        **({"parameters": parameters} if parameters else {}),
        "responses": _responses(described),
        "security": _WITH_KEY if described.roles else [],
    }
    if described.body is not None:
        content = {described.body_media: {"schema": _schema(described.body)}}
        operation["requestBody"] = {"required": described.body_required, "content": content}
    return operation


def _responses(described: Described) -> dict[str, Any]:
    answers = {described.status: described.answer, **described.others}
    wrong = set(described.statuses)
    wrong |= {401, 403} if described.roles else set()
    wrong |= {400, 408, 413} if described.body is not None else set()
    failure = {described.errors.media: {"schema": _schema(described.errors.value)}}
    told = {str(status): _answer(answer) for status, answer in answers.items()}
    told |= {str(each): {"description": _TITLES[each], "content": failure} for each in wrong - answers.keys()}
    return dict(sorted(told.items()))


def _answer(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.description}
    if answer.schema is not None:
        told["content"] = {media: _content(media, answer.schema) for media in answer.media}
    if answer.headers:
        told["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
    return told


def _content(media: str, schema: str | Mapping[str, Any]) -> dict[str, Any]:
    """Events have no schema: each kind has its own, which docs/edge.md tells."""
    if media == SSE:
        return {}
    return {"schema": _schema(schema) if "json" in media else {"type": "string"}}


def _path_parameter(name: str, example: str | None) -> dict[str, Any]:
    given = {} if example is None else {"example": example}
    return {"name": name, "in": "path", "required": True, **given, "schema": {"type": "string", "minLength": 1}}


def _schema(named: str | Mapping[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{named}"} if isinstance(named, str) else dict(named)


def _used(paths: Any, schemas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The schemas that the paths refer to, and those that these refer to."""
    found: dict[str, Any] = {}
    pending = _references(paths)
    while pending:
        name = pending.pop()
        if name not in found:
            found[name] = schemas[name]
            pending |= _references(schemas[name])
    return dict(sorted(found.items()))


def _references(value: Any) -> set[str]:
    if isinstance(value, Mapping):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(each) for each in value.values()))
    if isinstance(value, list | tuple):
        return set().union(*(_references(each) for each in value))
    return set()
