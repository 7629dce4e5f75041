"""What every role needs, made once a process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from schemas.deployments import DeploymentCatalogue
from schemas.serde import Serde
from streams import topics
from streams.bootstrap import prepare_serde, require_bootstrap
from streams.catalogue import load_catalogue
from streams.placement import lane_of, lane_partition
from streams.publisher import Outgoing, Publisher
from streams.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Settings, codecs, the deployments, a shared publisher, and the placement of lanes."""

    settings: Settings
    role: str
    serde: Serde
    catalogue: DeploymentCatalogue
    publisher: Publisher
    lanes: int

    @property
    def bootstrap_servers(self) -> str:
        return require_bootstrap(self.settings)

    def lane_of(self, tenant: str, request_id: str) -> str:
        return lane_of(tenant, request_id, self.catalogue.tenants.get(tenant))

    def to_lane(self, topic: str, lane: str, value: bytes) -> Outgoing:
        """A record for a lane topic, placed by its lane."""
        return Outgoing(topic, lane, value, partition=lane_partition(lane, self.lanes))


@asynccontextmanager
async def open_runtime(settings: Settings, role: str) -> AsyncIterator[Runtime]:
    """Raises SettingsError when something the operator set cannot work."""
    catalogue = load_catalogue(settings)
    serde = await prepare_serde(settings, catalogue.providers)
    client_id = f"{settings.app}-{role.replace(':', '-')}"
    async with Publisher(
        bootstrap_servers=require_bootstrap(settings), client_id=client_id, security=settings.kafka_security()
    ) as publisher:
        lanes = await publisher.partitions(topics.ROUTED)
        yield Runtime(settings, role, serde, catalogue, publisher, lanes)
