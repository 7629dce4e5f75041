"""The schema catalogue over Confluent's REST paths, read-only: any stock Confluent deserializer can read our topics with it.

`python -m streams.edge.catalogue --port 8081` serves it until SIGTERM, on the loopback interface unless told otherwise. What a
registry answers to reads is answered alike; registering a schema that stands there already gives its id, so that a serializer
with automatic registration works too; everything else that would write is refused as by a registry in read-only mode (42205).

Source of paths and error codes: Confluent's "Schema Registry API Reference".
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from schemas.errors import SettingsError
from streams.edge.subjects import Refused, Subjects

_CONTENT = "application/vnd.schemaregistry.v1+json"
_READY_FILE_VARIABLE = "PENSTOCK_READY_FILE"
_MAX_BODY_BYTES = 1_000_000
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Catalogue:
    """The HTTP face of `Subjects`."""

    def __init__(self, subjects: Subjects) -> None:
        self._subjects = subjects

    def application(self) -> web.Application:
        """An aiohttp application; put it on any server, or under any prefix."""
        app = web.Application(middlewares=[_errors], client_max_size=_MAX_BODY_BYTES)
        app.add_routes(
            [
                web.get("/", self._root),
                web.get("/subjects", self._names),
                web.get("/subjects/{subject}/versions", self._versions),
                web.get("/subjects/{subject}/versions/{version}", self._version),
                web.get("/subjects/{subject}/versions/{version}/schema", self._version_text),
                web.get("/subjects/{subject}/versions/{version}/referencedby", self._referenced_by),
                web.post("/subjects/{subject}", self._look_up),
                web.post("/subjects/{subject}/versions", self._register),
                web.get("/schemas", self._all),
                web.get("/schemas/types", self._types),
                web.get("/schemas/ids/{id}", self._schema),
                web.get("/schemas/ids/{id}/schema", self._schema_text),
                web.get("/schemas/ids/{id}/versions", self._where),
                web.get("/schemas/ids/{id}/subjects", self._subjects_of),
                web.get("/config", self._config),
                web.get("/config/{subject}", self._config),
                web.get("/mode", self._mode),
                web.get("/mode/{subject}", self._mode),
                web.get("/contexts", self._contexts),
            ]
        )
        return app

    async def _root(self, _: web.Request) -> web.Response:
        return _json({})

    async def _names(self, request: web.Request) -> web.Response:
        # Confluent's default context is written `:.:`; there is no other here.
        prefix = request.query.get("subjectPrefix", "").removeprefix(":*:").removeprefix(":.:")
        return _json(self._subjects.names(prefix))

    async def _versions(self, request: web.Request) -> web.Response:
        return _json([v.schema.version for v in self._subjects.versions(request.match_info["subject"])])

    async def _version(self, request: web.Request) -> web.Response:
        return _json(self._subjects.version(request.match_info["subject"], request.match_info["version"]).as_json())

    async def _version_text(self, request: web.Request) -> web.Response:
        version = self._subjects.version(request.match_info["subject"], request.match_info["version"])
        return web.Response(text=version.schema.text, content_type=_CONTENT)

    async def _referenced_by(self, request: web.Request) -> web.Response:
        self._subjects.version(request.match_info["subject"], request.match_info["version"])
        return _json([])

    async def _look_up(self, request: web.Request) -> web.Response:
        return _json(self._subjects.look_up(request.match_info["subject"], await request.read()).as_json())

    async def _register(self, request: web.Request) -> web.Response:
        subject = request.match_info["subject"]
        try:
            found = self._subjects.look_up(subject, await request.read())
        except Refused as refused:
            raise _read_only(subject) if refused.code == 40403 else refused from None
        return _json({"id": found.schema.id})

    async def _all(self, request: web.Request) -> web.Response:
        latest = request.query.get("latestOnly", "false") == "true"
        names = self._subjects.names(request.query.get("subjectPrefix", ""))
        per_subject = (self._subjects.versions(name) for name in names)
        return _json([v.as_json() for versions in per_subject for v in (versions[-1:] if latest else versions)])

    async def _types(self, _: web.Request) -> web.Response:
        return _json(["AVRO"])

    async def _schema(self, request: web.Request) -> web.Response:
        answer: dict[str, Any] = {"schemaType": "AVRO", "schema": self._subjects.schema(request.match_info["id"]).text}
        if request.query.get("fetchMaxId", "false") == "true":
            answer["maxId"] = self._subjects.highest_id
        return _json(answer)

    async def _schema_text(self, request: web.Request) -> web.Response:
        return web.Response(text=self._subjects.schema(request.match_info["id"]).text, content_type=_CONTENT)

    async def _where(self, request: web.Request) -> web.Response:
        used = self._subjects.of_schema(request.match_info["id"])
        return _json([{"subject": v.subject, "version": v.schema.version} for v in used])

    async def _subjects_of(self, request: web.Request) -> web.Response:
        return _json([v.subject for v in self._subjects.of_schema(request.match_info["id"])])

    async def _config(self, request: web.Request) -> web.Response:
        subject = request.match_info.get("subject")
        if subject is not None and request.query.get("defaultToGlobal", "false") != "true":
            raise Refused(40408, f"Subject '{subject[:200]}' does not have subject-level compatibility configured")
        return _json({"compatibilityLevel": "FULL_TRANSITIVE"})

    async def _mode(self, _: web.Request) -> web.Response:
        return _json({"mode": "READONLY"})

    async def _contexts(self, _: web.Request) -> web.Response:
        return _json(["."])


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error in Confluent's JSON shape, whose code the clients read."""
    try:
        return await handler(request)
    except Refused as refused:
        return _error(refused)
    except web.HTTPException as error:
        if request.method in {"POST", "PUT", "DELETE", "PATCH"} and error.status in {404, 405}:
            return _error(_read_only(request.path.strip("/").split("/")[-1] or "/"))
        return _error(Refused(error.status, f"HTTP {error.status} {error.reason}"))


def _read_only(subject: str) -> Refused:
    return Refused(
        42205,
        f"Subject {subject[:200]} is in read-only mode: this catalogue serves the schemas that Penstock ships; "
        "to register others, run a registry and set SCHEMA_REGISTRY_URL",
    )


def _error(refused: Refused) -> web.Response:
    return _json({"error_code": refused.code, "message": str(refused)}, status=refused.status)


def _json(body: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=_CONTENT)


class Running:
    """A catalogue that answers at `url`."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self.url = f"http://{host}:{port}"
        self.port = port

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(*, host: str = "127.0.0.1", port: int = 0, providers: Iterable[str] = ()) -> Running:
    """Start answering; port 0 takes a free one. Raises SettingsError when the port is taken."""
    runner = web.AppRunner(Catalogue(Subjects(providers)).application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise SettingsError(f"the catalogue cannot listen on {host}:{port} ({error.strerror}): choose another --port") from error
    return Running(runner, host, runner.addresses[0][1])


async def run(*, host: str, port: int, providers: Sequence[str], as_json: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; says so on standard output, and in the file named by PENSTOCK_READY_FILE."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = await serve(host=host, port=port, providers=providers)
    said = json.dumps({"ready": "catalogue", "url": running.url}) if as_json else f"catalogue ready {running.url}"
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    if ready_file := os.environ.get(_READY_FILE_VARIABLE):
        Path(ready_file).write_text(f"{os.getpid()}\n", encoding="ascii")  # noqa: ASYNC240 - once, and a few bytes
    await stop.wait()
    await running.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 2 when the port cannot be had."""
    parser = argparse.ArgumentParser(prog="python -m streams.edge.catalogue", description="Penstock's schemas, read-only.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port, 0 for a free one (0)")
    parser.add_argument("--providers", default="", metavar="NAME,...", help="providers whose order topics are listed")
    parser.add_argument("--json", action="store_true", help="say where it listens as one JSON object")
    arguments = parser.parse_args(argv)
    providers = tuple(filter(None, arguments.providers.split(",")))
    try:
        asyncio.run(run(host=arguments.host, port=arguments.port, providers=providers, as_json=arguments.json))
    except SettingsError as error:
        sys.stderr.write(f"catalogue: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
