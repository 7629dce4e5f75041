"""Schema ids from a Confluent-compatible registry: what speaks HTTP to it, loaded where one is configured and nowhere else."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import aiohttp
import stamina
import structlog
from fastavro.schema import SchemaParseException

from schemas.catalogue import Catalogue
from schemas.errors import SettingsError
from streams.settings import Settings
from streams.topics import Topic

log = structlog.get_logger(__name__)

_CONTENT = "application/vnd.schemaregistry.v1+json"


class Registry:
    """A client of the registry's REST interface: registers our schemas, learns other writers' ids."""

    def __init__(self, settings: Settings) -> None:
        if settings.schema_registry_url is None:
            raise SettingsError("set SCHEMA_REGISTRY_URL to use a registry")
        self._url = settings.schema_registry_url.rstrip("/")
        self._auth = (
            None
            if settings.schema_registry_user is None or settings.schema_registry_password is None
            else aiohttp.BasicAuth(settings.schema_registry_user, settings.schema_registry_password.get_secret_value())
        )

    async def register(self, catalogue: Catalogue, topics: Iterable[Topic]) -> None:
        """Register every topic's value schema and publish under the registry's ids from now on.

        Raises SettingsError when the registry does not answer within 30 s or refuses a schema.
        """
        catalogue.forget_builtin_ids()
        async with self._session() as session:
            for topic in topics:
                ours = catalogue.ours(topic.record.__name__)
                body = json.dumps({"schema": ours.text, "schemaType": "AVRO"})
                answer = await self._ask(session, "POST", f"/subjects/{topic.subject}/versions", body)
                if answer is None:
                    raise SettingsError(
                        f"{self._url} has no /subjects; SCHEMA_REGISTRY_URL must be the Confluent-compatible root"
                    )
                catalogue.assign(ours.name, int(answer["id"]))
                await self._learn_versions(session, catalogue, topic.subject)

    async def learn(self, catalogue: Catalogue, schema_id: int) -> bool:
        """Fetch a writer's schema by id. False when the registry does not know it either, or it is no Avro.

        Raises SettingsError when the registry does not answer.
        """
        async with self._session() as session:
            answer = await self._ask(session, "GET", f"/schemas/ids/{schema_id}")
        if answer is None or answer.get("schemaType", "AVRO") != "AVRO":
            return False
        try:
            catalogue.learn(schema_id, str(answer["schema"]))
        except SchemaParseException as error:
            log.warning("schema_unusable", schema_id=schema_id, error=str(error))
            return False
        return True

    async def _learn_versions(self, session: aiohttp.ClientSession, catalogue: Catalogue, subject: str) -> None:
        """All versions of a subject: a newer version of us may have written before we started."""
        versions: Any = await self._ask(session, "GET", f"/subjects/{subject}/versions") or ()
        for version in versions if len(versions) > 1 else ():  # the only one is the one that was registered just now
            answer = await self._ask(session, "GET", f"/subjects/{subject}/versions/{version}")
            if answer is not None and not catalogue.knows(int(answer["id"])):
                catalogue.learn(int(answer["id"]), str(answer["schema"]))

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(auth=self._auth, headers={"Content-Type": _CONTENT}, timeout=aiohttp.ClientTimeout(total=10))

    async def _ask(
        self, session: aiohttp.ClientSession, method: str, path: str, body: str | None = None
    ) -> dict[str, Any] | None:
        """The answer, None for 404. Raises SettingsError when there is none."""
        try:
            async for attempt in stamina.retry_context(on=(aiohttp.ClientConnectionError, asyncio.TimeoutError), timeout=30.0):
                with attempt:
                    async with session.request(method, self._url + path, data=body) as reply:
                        if reply.status == 404:
                            return None
                        if reply.status >= 400:
                            raise SettingsError(
                                f"the registry refused {method} {path}: {reply.status} {(await reply.text())[:300]}"
                            )
                        answer: dict[str, Any] = await reply.json(content_type=None)
                        return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SettingsError(
                f"the schema registry at {self._url} does not answer ({type(error).__name__}); "
                "start it, correct SCHEMA_REGISTRY_URL, or unset it to use the built-in catalogue"
            ) from error
        return None
