"""From responses to deliveries: ai.responses -> ai.webhook-deliveries. Nothing is sent here, so nobody's endpoint holds it up."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from processors.webhooks.messages import deliveries_of
from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse
from schemas.webhooks import WebhookDelivery
from streams import clock, topics
from streams.newcomers import Newcomers
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.webhooks.endpoints import Endpoints

log = structlog.get_logger(__name__)

_FLUSH_BYTES = 4_000_000


class Arrivals:
    """Writes one delivery for each endpoint that asked for what a response is."""

    def __init__(self, runtime: Runtime, endpoints: Endpoints) -> None:
        self._publisher = runtime.publisher
        self._endpoints = endpoints
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self._responses = runtime.serde.of(InferenceResponse)
        self._deliveries = runtime.serde.of(WebhookDelivery)

    async def hand_on(self, records: Sequence[Any]) -> None:
        """Return when the broker has all that comes of these records; raises KafkaError."""
        await self._endpoints.caught_up.wait()
        if not self._endpoints:
            return
        await self._newcomers.meet(record.value for record in records)
        pending: list[Outgoing] = []
        size = 0
        for record in records:
            for outgoing in self._of(record):
                pending.append(outgoing)
                size += len(outgoing.value or b"")
            if size >= _FLUSH_BYTES:
                await self._publisher.send_all(pending)
                pending, size = [], 0
        await self._publisher.send_all(pending)

    def _of(self, record: Any) -> Iterator[Outgoing]:
        place = {"partition": record.partition, "offset": record.offset}
        try:
            response = self._responses.decode(record.value)
            for delivery in deliveries_of(response, self._endpoints.of(response.tenant), now=clock.now()):
                yield Outgoing(topics.WEBHOOK_DELIVERIES, delivery.webhook_id, self._deliveries.encode(delivery))
        except RecordError as error:
            log.warning("response_unreadable", **place, reason=error.reason, next_step="nobody is told of it over a webhook")
