"""What all partitions of one process share: endpoints, the sender, the pace, and how many tries are under way."""

from dataclasses import dataclass, field
from typing import Protocol

from processors.webhooks.decide import Came, Pace
from schemas.webhooks import WebhookEndpoint
from streams.edge.lineage_log import LogReading
from streams.runtime import Runtime
from streams.webhooks.endpoints import Endpoints

MOST_AT_ONCE = 256
PER_ENDPOINT = 8
PER_FAILING_ENDPOINT = 1
"""An endpoint that fails takes fifteen seconds of one place, and leaves the others to those that answer."""


class Sends(Protocol):
    """Makes one try."""

    async def send(self, endpoint: WebhookEndpoint, message_id: str, body: str) -> Came:
        """What came of it; raises for nothing that an endpoint does."""


@dataclass(slots=True)
class Desk:
    """Made once a process."""

    runtime: Runtime
    endpoints: Endpoints
    sender: Sends
    reading: LogReading
    pace: Pace
    under_way: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    """By partition, for the metrics."""
