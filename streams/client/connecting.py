"""The client's way to Kafka: codecs and consumers."""

from typing import Any

from aiokafka import AIOKafkaConsumer

from schemas.serde import Serde
from streams import topics
from streams.newcomers import Newcomers
from streams.settings import Settings
from streams.topics import MAX_MESSAGE_BYTES

_ANSWERS_WITHIN_MS = 10_000
_OURS = (topics.REQUESTS, topics.RESPONSES, topics.CHUNKS, topics.CANCELLATIONS)


class Connection:
    """What all parts of a client share. `open` it once."""

    def __init__(self, settings: Settings, serde: Serde, newcomers: Newcomers | None) -> None:
        self.settings = settings
        self.serde = serde
        self._newcomers = newcomers

    @classmethod
    async def open(cls, settings: Settings) -> "Connection":
        """Codecs with the registry's ids where one is configured. Raises SettingsError when it does not answer."""
        serde = Serde()
        if settings.schema_registry_url is None:
            return cls(settings, serde, None)
        from streams.registry import Registry  # noqa: PLC0415 - an HTTP client is only loaded when it is used

        known = topics.all_topics(())
        await Registry(settings).register(serde.catalogue, [known[name] for name in _OURS])
        return cls(settings, serde, Newcomers(serde.catalogue, settings))

    @property
    def client_id(self) -> str:
        return f"{self.settings.app}-client"

    async def meet(self, value: bytes | None) -> None:
        """Return when the registry was asked for the value's schema, if it is a new one; waits for as long as it is away."""
        if self._newcomers is not None:
            await self._newcomers.meet((value,))

    def consumer(self, **options: Any) -> AIOKafkaConsumer:
        """A consumer of committed records that commits nothing by itself, and that never chooses by itself where to read."""
        return AIOKafkaConsumer(
            bootstrap_servers=self.settings.bootstrap_servers,
            client_id=self.client_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            max_partition_fetch_bytes=MAX_MESSAGE_BYTES,
            retry_backoff_ms=20,
            # So long it waits for a topic that does not exist.
            request_timeout_ms=_ANSWERS_WITHIN_MS,
            **options,
            **self.settings.kafka_security(),
        )
