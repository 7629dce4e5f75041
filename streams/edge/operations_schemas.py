"""The schema catalogue under `/schemas`: give a Confluent client the edge's address with `/schemas` as its registry.

Without a key: it tells nothing but the schemas that Penstock ships. Paths, codes and shapes are as in `streams.edge.catalogue`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.edge.body import read_bytes
from streams.edge.principal import Refused as NotTaken
from streams.edge.subjects import Refused, Subjects

PREFIX = "/schemas"
_CONTENT = "application/vnd.schemaregistry.v1+json"
_MOST_BYTES = 64 * 1024
_READS, _WRITES = ("GET", "HEAD"), ("POST", "PUT", "DELETE", "PATCH")
_Ask = Callable[[Request], Awaitable[Any]]


class SchemaPaths:
    """The HTTP face of `Subjects`, one path below the edge's own."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def routes(self) -> list[Route]:
        subject, version, schema = "/subjects/{subject}", "/subjects/{subject}/versions/{version}", "/schemas/ids/{id}"
        asked: list[tuple[str, str, _Ask]] = [
            ("GET", "", self._root),
            ("GET", "/subjects", self._names),
            ("GET", f"{subject}/versions", self._versions),
            ("POST", f"{subject}/versions", self._register),
            ("POST", subject, self._look_up),
            ("GET", version, self._version),
            ("GET", f"{version}/schema", self._version_text),
            ("GET", f"{version}/referencedby", self._referenced_by),
            ("GET", "/schemas", self._all),
            ("GET", "/schemas/types", self._types),
            ("GET", schema, self._schema),
            ("GET", f"{schema}/schema", self._schema_text),
            ("GET", f"{schema}/versions", self._where),
            ("GET", f"{schema}/subjects", self._subjects_of),
            ("GET", "/config", self._config),
            ("GET", "/config/{subject}", self._config),
            ("GET", "/mode", self._mode),
            ("GET", "/mode/{subject}", self._mode),
            ("GET", "/contexts", self._contexts),
        ]
        known = [Route(f"{PREFIX}{path}", _answering(ask), methods=[method]) for method, path, ask in asked]
        # What is not there is told in the registry's words, too; it is no path of the interface.
        others = Route(f"{PREFIX}/{{rest:path}}", _answering(_unknown), methods=[*_READS, *_WRITES], include_in_schema=False)
        return [*known, others]

    async def _root(self, _: Request) -> Any:
        return {}

    async def _names(self, http: Request) -> Any:
        # Confluent's default context is written `:.:`; there is no other here.
        return self._subjects.names(http.query_params.get("subjectPrefix", "").removeprefix(":*:").removeprefix(":.:"))

    async def _versions(self, http: Request) -> Any:
        return [v.schema.version for v in self._subjects.versions(http.path_params["subject"])]

    async def _version(self, http: Request) -> Any:
        return self._subjects.version(http.path_params["subject"], http.path_params["version"]).as_json()

    async def _version_text(self, http: Request) -> Any:
        return self._subjects.version(http.path_params["subject"], http.path_params["version"]).schema.text.encode()

    async def _referenced_by(self, http: Request) -> Any:
        self._subjects.version(http.path_params["subject"], http.path_params["version"])
        return []

    async def _look_up(self, http: Request) -> Any:
        return self._subjects.look_up(http.path_params["subject"], await read_bytes(http, most=_MOST_BYTES)).as_json()

    async def _register(self, http: Request) -> Any:
        """The id of a schema that stands there; all others are refused."""
        subject = http.path_params["subject"]
        try:
            found = self._subjects.look_up(subject, await read_bytes(http, most=_MOST_BYTES))
        except Refused as refused:
            raise _read_only(subject) if refused.code == 40403 else refused from None
        return {"id": found.schema.id}

    async def _all(self, http: Request) -> Any:
        latest = http.query_params.get("latestOnly", "false") == "true"
        names = self._subjects.names(http.query_params.get("subjectPrefix", ""))
        per_subject = (self._subjects.versions(name) for name in names)
        return [v.as_json() for versions in per_subject for v in (versions[-1:] if latest else versions)]

    async def _types(self, _: Request) -> Any:
        return ["AVRO"]

    async def _schema(self, http: Request) -> Any:
        answer: dict[str, Any] = {"schemaType": "AVRO", "schema": self._subjects.schema(http.path_params["id"]).text}
        if http.query_params.get("fetchMaxId", "false") == "true":
            answer["maxId"] = self._subjects.highest_id
        return answer

    async def _schema_text(self, http: Request) -> Any:
        return self._subjects.schema(http.path_params["id"]).text.encode()

    async def _where(self, http: Request) -> Any:
        return [{"subject": v.subject, "version": v.schema.version} for v in self._subjects.of_schema(http.path_params["id"])]

    async def _subjects_of(self, http: Request) -> Any:
        return [v.subject for v in self._subjects.of_schema(http.path_params["id"])]

    async def _config(self, http: Request) -> Any:
        subject = http.path_params.get("subject")
        if subject is not None and http.query_params.get("defaultToGlobal", "false") != "true":
            raise Refused(40408, f"Subject '{subject[:200]}' does not have subject-level compatibility configured")
        return {"compatibilityLevel": "FULL_TRANSITIVE"}

    async def _mode(self, _: Request) -> Any:
        return {"mode": "READONLY"}

    async def _contexts(self, _: Request) -> Any:
        return ["."]


async def _unknown(http: Request) -> Any:
    if http.method in _WRITES:
        raise _read_only(http.url.path.strip("/").split("/")[-1] or "/")
    raise Refused(404, "HTTP 404 Not Found")


def _answering(ask: _Ask) -> Callable[[Request], Awaitable[Response]]:
    """What is asked, as the registry answers it; errors in its own shape, whose code the clients read."""

    async def answer(http: Request) -> Response:
        try:
            found = await ask(http)
        except Refused as refused:
            return _response({"error_code": refused.code, "message": str(refused)}, refused.status)
        except NotTaken as refused:
            told = {"error_code": refused.refusal.status, "message": refused.refusal.message}
            return _response(told, refused.refusal.status)
        return _response(found)

    return answer


def _response(body: Any, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(content, status, headers={"content-type": _CONTENT})


def _read_only(subject: str) -> Refused:
    return Refused(
        42205,
        f"Subject {subject[:200]} is in read-only mode: this catalogue serves the schemas that Penstock ships; "
        "to register others, run a registry and set SCHEMA_REGISTRY_URL",
    )
