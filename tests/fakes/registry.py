"""A Confluent-compatible schema registry to write to, in this process: it holds our schemas under their built-in ids."""

import json
from typing import Any

from aiohttp import web

from schemas.catalogue import builtin
from streams import topics
from streams.embedded.ports import LOOPBACK, free_port

FIRST_NEW_ID = 1_001
_NOT_FOUND = 404


class FakeRegistry:
    """`async with FakeRegistry(providers) as registry`; `await registry.stop()` takes it away, `start()` brings it back."""

    def __init__(self, providers: tuple[str, ...]) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.asked: list[str] = []
        """The paths of all requests, in order."""
        self._ids = {_canonical(schema.text): schema_id for schema_id, schema in builtin().items()}
        self._texts = {schema_id: schema.text for schema_id, schema in builtin().items()}
        ids = {schema.name: schema_id for schema_id, schema in builtin().items()}
        self._versions = {t.subject: [ids[t.record.__name__]] for t in topics.all_topics(providers).values()}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "FakeRegistry":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.post("/subjects/{subject}/versions", self._post),
                web.get("/subjects/{subject}/versions", self._get_versions),
                web.get("/subjects/{subject}/versions/{version}", self._get_version),
                web.get("/schemas/ids/{id}", self._get_schema),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def register(self, subject: str, text: str) -> int:
        """The id of a schema, a new one when it was not known."""
        schema_id = self._ids.setdefault(_canonical(text), max(FIRST_NEW_ID, max(self._texts) + 1))
        self._texts.setdefault(schema_id, text)
        if schema_id not in self._versions.setdefault(subject, []):
            self._versions[subject].append(schema_id)
        return schema_id

    async def _post(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response({"id": self.register(request.match_info["subject"], (await request.json())["schema"])})

    async def _get_versions(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.json_response(list(range(1, len(self._versions.get(request.match_info["subject"], ())) + 1)))

    async def _get_version(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        schema_id = self._versions[request.match_info["subject"]][int(request.match_info["version"]) - 1]
        return web.json_response({"id": schema_id, "schema": self._texts[schema_id]})

    async def _get_schema(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if (text := self._texts.get(int(request.match_info["id"]))) is None:
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=_NOT_FOUND)
        return web.json_response({"schema": text})


def with_field(text: str, name: str) -> str:
    """The schema with one more nullable string at its end: a newer version of it."""
    schema: dict[str, Any] = json.loads(text)
    schema["fields"].append({"name": name, "type": ["null", "string"], "default": None})
    return json.dumps(schema)


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)
