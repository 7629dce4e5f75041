"""What calls tell about their deployments."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class HealthOutcome(StrEnum):
    UNKNOWN = "UNKNOWN"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"


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
