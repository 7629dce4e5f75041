"""Makes one try and writes what came of it: the delivery as it stands now, a dead letter, an endpoint that is disabled."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from processors.webhooks.decide import Came, Done, Drop, GiveUp, Next, TryAgain, decide, failing_from, unwanted
from processors.webhooks.messages import TEST
from schemas.webhooks import DeliveryStatus, WebhookDelivery, WebhookEndpoint
from streams import clock, metrics, topics
from streams.dead_letters import dead_letter
from streams.publisher import Outgoing
from streams.webhooks.desk import Desk

log = structlog.get_logger(__name__)

STAGE = "webhooks"


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A delivery's record, for its dead letter."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes | None]] = ()


class Settling:
    """Of one partition."""

    def __init__(self, desk: Desk, partition: int) -> None:
        self._desk = desk
        self._partition = partition
        self._codec = desk.runtime.serde.of(WebhookDelivery)

    async def settle(
        self,
        delivery: WebhookDelivery,
        offset: int,
        endpoint: WebhookEndpoint | None,
        *,
        waiting: int,
        failing_since: datetime | None,
    ) -> None:
        """Try once, if it is to be tried. Return when the broker has what came of it; raises KafkaError."""
        pace = self._desk.pace
        never = unwanted(delivery, endpoint, pace, waiting=waiting)
        if endpoint is None or never is not None:
            chosen: Next | Drop = never or Drop()
            after = _ended(delivery, chosen)
        else:
            came = await self._desk.sender.send(endpoint, delivery.message_id, delivery.body or "")
            now, jitter = clock.now(), random.random()
            since = failing_from(failing_since, endpoint, now=now)
            chosen = decide(delivery, came, pace, failing_since=since, waiting=waiting, now=now, jitter=jitter)
            after = _tried(delivery, came, chosen, since)
        records = [Outgoing(topics.WEBHOOK_DELIVERIES, after.webhook_id, self._codec.encode(after), partition=self._partition)]
        if isinstance(chosen, GiveUp):
            records += self._given_up(delivery, offset, endpoint, chosen)
        await self._desk.runtime.publisher.send_all(records)
        metrics.WEBHOOKS.labels("again" if isinstance(chosen, TryAgain) else after.status.value).inc()

    def _given_up(
        self, delivery: WebhookDelivery, offset: int, endpoint: WebhookEndpoint | None, chosen: GiveUp
    ) -> Iterator[Outgoing]:
        """What else is to be known of it."""
        if delivery.event != TEST:
            yield self._dead_letter(delivery, offset, chosen)
        if chosen.disable and endpoint is not None:
            told = {"webhook_id": endpoint.webhook_id, "reason": chosen.reason}
            log.warning("webhook_disabled", **told, next_step="its tenant may enable it again")
            current = self._desk.endpoints.get(endpoint.webhook_id)
            if current is not None and current.disabled_at is None:
                disabled = replace(current, disabled_at=clock.now(), disabled_reason=chosen.message)
                yield self._desk.endpoints.record(disabled)

    def _dead_letter(self, delivery: WebhookDelivery, offset: int, chosen: GiveUp) -> Outgoing:
        now = clock.now()
        arrived = _Arrived(
            topics.WEBHOOK_DELIVERIES,
            self._partition,
            offset,
            int(delivery.at.timestamp() * 1000),
            delivery.webhook_id.encode(),
            self._codec.encode(delivery),
        )
        return dead_letter(
            arrived,
            self._desk.runtime.serde,
            stage=STAGE,
            reason=chosen.reason,
            message=f"the webhook {delivery.message_id} to {delivery.webhook_id} was given up: {chosen.message}",
            now=now,
            request_id=delivery.request_id,
            tenant=delivery.tenant,
        )


def _ended(delivery: WebhookDelivery, chosen: Next | Drop) -> WebhookDelivery:
    """The delivery after no further try."""
    error = chosen.message if isinstance(chosen, GiveUp) else delivery.error
    return replace(delivery, status=_STATUS[type(chosen)], at=clock.now(), not_before=None, body=None, error=error)


def _tried(delivery: WebhookDelivery, came: Came, chosen: Next, since: datetime) -> WebhookDelivery:
    """The delivery after one more try."""
    again = isinstance(chosen, TryAgain)
    return replace(
        delivery,
        status=_STATUS[type(chosen)],
        attempt=delivery.attempt + 1,
        at=clock.now(),
        not_before=chosen.at if isinstance(chosen, TryAgain) else None,
        body=delivery.body if again else None,
        http_status=came.http_status,
        answer=came.answer,
        error=came.error,
        duration_ms=came.duration_ms,
        failing_since=None if came.good else since,
    )


_STATUS: dict[type, DeliveryStatus] = {
    Done: DeliveryStatus.DELIVERED,
    TryAgain: DeliveryStatus.WAITING,
    GiveUp: DeliveryStatus.GIVEN_UP,
    Drop: DeliveryStatus.DROPPED,
}
