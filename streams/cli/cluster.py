"""What stands at the broker: nodes, topics with their configuration, consumer groups."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code
from aiokafka.structs import TopicPartition

from streams.cli.reading import broker_errors
from streams.settings import Settings

_FETCH_API = 1


@dataclass(frozen=True, slots=True)
class StandingTopic:
    """A topic as the broker has it."""

    name: str
    partitions: int
    config: Mapping[str, str]

    def differences(self, wanted: Mapping[str, str]) -> list[str]:
        """What is not as wanted, e.g. `retention.ms is 1, not 2`."""
        return [f"{name} is {has}, not {value}" for name, value in wanted.items() if (has := self.config.get(name)) != value]


@dataclass(frozen=True, slots=True)
class Broker:
    """`generation` is what its protocol shows: brokers do not say their version."""

    cluster_id: str
    nodes: int
    generation: str


class Cluster:
    """An admin client, for looking only."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def broker(self) -> Broker:
        described = await self._admin.describe_cluster()
        return Broker(str(described["cluster_id"]), len(described["brokers"]), await self._generation())

    async def topics(self, names: Collection[str] | None = None) -> dict[str, StandingTopic]:
        """The topics that stand, all of them or those of `names`."""
        present = {
            t["topic"]: len(t["partitions"])
            for t in await self._admin.describe_topics()
            if not t["error_code"] and (names is None or t["topic"] in names)
        }
        if not present:
            return {}
        answers = await self._admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in present])
        configs = {name: entries for answer in answers for *_, name, entries in answer.resources}
        return {
            name: StandingTopic(name, count, {entry[0]: entry[1] for entry in configs.get(name, ())})
            for name, count in present.items()
        }

    async def committed(self, group_prefix: str) -> dict[str, dict[TopicPartition, int]]:
        """The committed offsets of every group whose name begins so. Raises KafkaError when the broker will not say."""
        groups = sorted(name for name, _ in await self._admin.list_consumer_groups() if name.startswith(group_prefix))
        offsets = {}
        for group in groups:
            found = await self._admin.list_consumer_group_offsets(group)
            offsets[group] = {partition: at.offset for partition, at in found.items() if at.offset >= 0}
        return offsets

    async def members(self, groups: Collection[str]) -> dict[str, int]:
        """How many members each group has now.

        One group a request: aiokafka 0.14 cannot decode what Kafka 4.3 answers about several ("buffer underrun").
        """
        answers = [answer for group in groups for answer in await self._admin.describe_consumer_groups([group])]
        return {group[1]: len(group[5]) for answer in answers for group in answer.groups}

    async def _generation(self) -> str:
        """Kafka 4.0 took the oldest fetch requests away (KIP-896), which tells the generations apart."""
        from aiokafka.protocol.admin import ApiVersionRequest  # noqa: PLC0415

        answer: Any = await self._admin._send_request(ApiVersionRequest())  # noqa: SLF001 - aiokafka asks, and shows it nowhere
        if answer.error_code:
            raise for_code(answer.error_code)
        oldest = next((low for key, low, _ in answer.api_versions if key == _FETCH_API), 0)
        return "4.0 or later" if oldest >= 4 else "before 4.0"


@asynccontextmanager
async def open_cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """Raises SettingsError when Kafka does not answer."""
    with broker_errors(settings):
        admin = AIOKafkaAdminClient(
            bootstrap_servers=settings.bootstrap_servers,
            client_id=f"{settings.app}-cli",
            request_timeout_ms=10_000,
            **settings.kafka_security(),
        )
        try:
            await admin.start()
            yield Cluster(admin)
        finally:
            await admin.close()
