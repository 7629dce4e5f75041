"""The codecs and the producer that commands use."""

from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from schemas.serde import Serde, schema_id_of
from streams import topics
from streams.decoding import Unreadable, decode
from streams.publisher import Publisher
from streams.settings import Settings


async def open_serde(settings: Settings, names: Collection[str]) -> Serde:
    """Codecs for these topics, with the registry's ids when one is configured.

    Raises SettingsError when the registry does not answer.
    """
    serde = Serde()
    if settings.schema_registry_url is not None:
        from streams.registry import Registry  # noqa: PLC0415 - most commands run without a registry

        providers = (name.removeprefix(topics.CALLS_PREFIX) for name in names if name.startswith(topics.CALLS_PREFIX))
        known = topics.all_topics(providers)
        await Registry(settings).register(serde.catalogue, [known[name] for name in names])
    return serde


class Decoder:
    """Decodes whatever a topic holds; asks the registry, once each, for schema ids that other writers brought."""

    def __init__(self, serde: Serde, settings: Settings) -> None:
        self._serde = serde
        self._settings = settings
        self._asked: set[int] = set()

    async def decode(self, value: bytes | None) -> Any:
        """The record, None for a tombstone, Unreadable for what is none."""
        found = decode(self._serde, value)
        if not isinstance(found, Unreadable) or found.reason != "unknown_schema" or self._settings.schema_registry_url is None:
            return found
        schema_id = schema_id_of(value)
        if schema_id in self._asked:
            return found
        self._asked.add(schema_id)
        from streams.registry import Registry  # noqa: PLC0415

        await Registry(self._settings).learn(self._serde.catalogue, schema_id)
        return decode(self._serde, value)


@asynccontextmanager
async def open_publisher(settings: Settings) -> AsyncIterator[Publisher]:
    """A started producer; raises KafkaConnectionError when no Kafka answers."""
    publisher = Publisher(
        bootstrap_servers=str(settings.bootstrap_servers), client_id=f"{settings.app}-cli", security=settings.kafka_security()
    )
    # Leaving is owed even when entering fails: a producer that could not connect still holds its client.
    async with AsyncExitStack() as leaving:
        leaving.push_async_exit(publisher)
        yield await publisher.__aenter__()
