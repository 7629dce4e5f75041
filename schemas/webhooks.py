"""Who is told over HTTP of what became of requests, and how telling them went: WebhookEndpoint, WebhookDelivery."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address of a tenant's that is told of events. The latest record of a `webhook_id` holds; a tombstone ends it.

    Its secret is nowhere: it is derived from the installation's, the id and the `generation`. After a rotation that of the
    generation before signs as well, for a day from `rotated_at` on. With `disabled_at` nothing is sent.
    """

    webhook_id: str
    tenant: str
    url: str
    events: tuple[str, ...]
    description: str
    generation: int
    created_at: datetime
    rotated_at: datetime | None = None
    enabled_at: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None


class DeliveryStatus(StrEnum):
    """How a delivery stands: `waiting` for its next try, or at its end, one way or another."""

    UNKNOWN = "unknown"
    WAITING = "waiting"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One event for one endpoint, as it stands after `attempt` tries; of a `message_id` the one with the most holds.

    `body` is what is sent, the same in every try; it stands in records that wait, and in no others. `http_status`, `answer`,
    `error` and `duration_ms` are of the last try. `failing_since`: when the endpoint began to fail, if it has not answered since.
    """

    message_id: str
    webhook_id: str
    tenant: str
    event: str
    status: DeliveryStatus
    attempt: int
    at: datetime
    request_id: str | None = None
    not_before: datetime | None = None
    body: str | None = None
    http_status: int | None = None
    answer: str | None = None
    error: str | None = None
    duration_ms: int | None = None
    failing_since: datetime | None = None
