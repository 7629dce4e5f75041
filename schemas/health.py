"""What calls tell about their deployments."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HealthOutcome(StrEnum):
    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """What the provider's headers say about the key's limits: a window's size, what is left of it, seconds until it is full."""

    requests_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset_s: float | None = None


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """What one call told about its deployment."""

    deployment: str
    provider: str
    model: str
    worker: str
    outcome: HealthOutcome
    in_flight: int
    observed_at: datetime
    failure_kind: str | None = None
    http_status: int | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None
    retry_after_s: float | None = None
    output_tokens: int | None = None
    call_id: str | None = None
    probe: bool = False
    limits: RateLimits | None = None


class AlertState(StrEnum):
    UNKNOWN = "UNKNOWN"
    RAISED = "RAISED"
    RESOLVED = "RESOLVED"


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Something that a person should look at, or the end of it."""

    kind: str
    subject: str
    state: AlertState
    severity: str
    message: str
    next_step: str
    since: datetime
    raised_at: datetime
    value: float | None = None
    threshold: float | None = None
