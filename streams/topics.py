"""Every topic: its name, record, key, placement and configuration. Names are written by hand; changing one is a migration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schemas.batches import BatchChanged
from schemas.calls import CallOrdered, CallReported
from schemas.cancellation import CancelRequested
from schemas.configuration import RoutingConfigured
from schemas.feedback import FeedbackGiven
from schemas.files import FilePart
from schemas.health import AlertRaised, HealthEvent
from schemas.idempotency import IdempotencyClaim
from schemas.keys import KeyIssued
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse, ResponseChunk
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from schemas.semantic import SemanticEntry
from schemas.state import DispatchChange
from schemas.webhooks import WebhookDelivery, WebhookEndpoint

REQUESTS = "ai.requests"
ROUTED = "ai.requests.routed"
CALLS_PREFIX = "ai.calls."
ATTEMPTS = "ai.attempts"
RESPONSES = "ai.responses"
COSTS = "ai.costs"
COST_TOTALS = "ai.cost-totals"
CHANGELOG = "ai.dispatch-changelog"
CHUNKS = "ai.chunks"
HEALTH = "ai.health"
ALERTS = "ai.alerts"
DEAD_LETTERS = "ai.dead-letters"
FEEDBACK = "ai.feedback"
SEMANTIC = "ai.semantic-entries"
KEYS = "ai.keys"
IDEMPOTENCY = "ai.idempotency"
CANCELLATIONS = "ai.cancellations"
FILES = "ai.files"
BATCHES = "ai.batches"
WEBHOOKS = "ai.webhooks"
WEBHOOK_DELIVERIES = "ai.webhook-deliveries"
CONFIG = "ai.config"

MAX_MESSAGE_BYTES = 2_200_000
"""Above `schemas.serde.MAX_RECORD_BYTES`: the batch around the record takes its share."""

_DAY_MS = 86_400_000


class Spread(StrEnum):
    """What a topic's partition count follows: the lanes, or the deployment's choice for plain topics."""

    LANES = "lanes"
    PLAIN = "plain"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `subject` of its values is `<name>-value` (Confluent's TopicNameStrategy)."""

    name: str
    record: type[Any]
    key: str
    spread: Spread = Spread.PLAIN
    compacted: bool = False
    retention_ms: int = 7 * _DAY_MS
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return f"{self.name}-value"

    def broker_config(self) -> dict[str, str]:
        """Topic configuration for the broker, as strings."""
        base = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if self.compacted:
            base |= {"cleanup.policy": "compact", "delete.retention.ms": str(_DAY_MS)}
        else:
            base |= {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        return base | dict(self.config)


_FIXED = (
    # The broker's clock, not the producer's: deadlines are counted from it. And uncompressed, whatever the producer sends: so the
    # broker refuses what is too large once it is unpacked, instead of our readers unpacking it.
    Topic(
        REQUESTS,
        InferenceRequest,
        key="tenant",
        config={"message.timestamp.type": "LogAppendTime", "compression.type": "uncompressed"},
    ),
    Topic(ROUTED, RequestRouted, key="lane", spread=Spread.LANES),
    Topic(ATTEMPTS, CallReported, key="lane", spread=Spread.LANES),
    Topic(RESPONSES, InferenceResponse, key="request_id"),
    Topic(COSTS, CostEvent, key="tenant", retention_ms=400 * _DAY_MS),
    # A total is written anew by every transaction, and whoever reads the totals begins at the beginning: without this nothing is
    # compacted before a segment is a week old.
    Topic(COST_TOTALS, CostTotal, key="lane|provider|model|hour", compacted=True, config={"segment.ms": str(_DAY_MS // 24)}),
    Topic(
        CHANGELOG, DispatchChange, key="request|call|total|circuit|position|adjusted/<id>", spread=Spread.LANES, compacted=True
    ),
    Topic(CHUNKS, ResponseChunk, key="request_id", retention_ms=_DAY_MS),
    Topic(HEALTH, HealthEvent, key="deployment", spread=Spread.SINGLE, retention_ms=_DAY_MS),
    Topic(ALERTS, AlertRaised, key="kind/subject", spread=Spread.SINGLE, retention_ms=30 * _DAY_MS),
    Topic(FEEDBACK, FeedbackGiven, key="request_id", retention_ms=400 * _DAY_MS),
    # The last of each key, and none that is older than answers are kept.
    Topic(
        SEMANTIC,
        SemanticEntry,
        key="cache_key",
        compacted=True,
        config={"cleanup.policy": "compact,delete", "retention.ms": str(7 * _DAY_MS)},
    ),
    Topic(KEYS, KeyIssued, key="key_id", spread=Spread.SINGLE, compacted=True),
    # Not compacted: compaction keeps the last record of a key, and it is the first that holds. Kept for longer than claims hold.
    Topic(IDEMPOTENCY, IdempotencyClaim, key="digest of tenant and Idempotency-Key", retention_ms=2 * _DAY_MS),
    # As long as a request may stay open: whoever starts meanwhile hears of it.
    Topic(CANCELLATIONS, CancelRequested, key="tenant/request_id", spread=Spread.SINGLE, retention_ms=_DAY_MS),
    # Files live for 30 days at most; a batch that was made on the last of them still finds its input.
    Topic(FILES, FilePart, key="tenant/file_id", retention_ms=32 * _DAY_MS),
    Topic(
        BATCHES,
        BatchChanged,
        key="tenant/batch_id|tenant/file_id",
        compacted=True,
        config={"cleanup.policy": "compact,delete", "retention.ms": str(32 * _DAY_MS)},
    ),
    Topic(WEBHOOKS, WebhookEndpoint, key="webhook_id", spread=Spread.SINGLE, compacted=True),
    # By endpoint: whoever has its partition knows all that waits for it, and how long it has failed.
    Topic(WEBHOOK_DELIVERIES, WebhookDelivery, key="webhook_id"),
    Topic(CONFIG, RoutingConfigured, key="routing", spread=Spread.SINGLE, compacted=True),
    Topic(DEAD_LETTERS, DeadLetter, key="topic-partition-offset", spread=Spread.SINGLE, retention_ms=30 * _DAY_MS),
)


def calls(provider: str) -> str:
    """The topic of orders to one provider."""
    return f"{CALLS_PREFIX}{provider}"


def all_topics(providers: Iterable[str]) -> dict[str, Topic]:
    """Every topic by name, those of the providers' orders included."""
    orders = (Topic(calls(p), CallOrdered, key="request_id/attempt") for p in sorted(providers))
    return {topic.name: topic for topic in (*_FIXED, *orders)}
