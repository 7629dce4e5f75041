"""The health of a deployment: a fold of its health events.

Strategy
1. Five failures in a row that are the deployment's own open its circuit for 60 s. A key that is refused, or a model that is not
   there, opens it at once: the next call would fail alike.
2. After 60 s it is half open: routed to again, after the healthy ones. A success closes it; a failure opens it anew.
3. Rate limits open nothing: the deployment is well, and ranks behind the others for as long as it asked for.
4. What is the request's own fault (refused, too long, expired, cancelled) says nothing about the deployment.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from schemas.calls import FailureKind
from schemas.health import HealthEvent, HealthOutcome

OPENS_AFTER = 5
OPEN_FOR = timedelta(seconds=60)
MAX_LIMITED_S = 60.0
_SMOOTHING = 0.1
_OWN_FAULTS = frozenset(
    {
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.UNREACHABLE,
        FailureKind.TIMED_OUT,
        FailureKind.INTERRUPTED,
        FailureKind.MALFORMED_REPLY,
    }
)
_FATAL = frozenset({FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND})


class Circuit(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class DeploymentHealth:
    """What is known of one deployment. The rate and the latency are exponential averages over about the last ten calls."""

    failures_in_a_row: int = 0
    opened_at: datetime | None = None
    limited_until: datetime | None = None
    success_rate: float = 1.0
    latency_ms: float | None = None

    def circuit(self, now: datetime) -> Circuit:
        """Closed, open, or half open: due to be tried again."""
        if self.opened_at is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.opened_at + OPEN_FOR else Circuit.HALF_OPEN

    def limited(self, now: datetime) -> bool:
        """Whether the provider has asked to be left alone."""
        return self.limited_until is not None and now < self.limited_until


UNKNOWN = DeploymentHealth()
"""Of a deployment that no call has told about: taken for well."""


def fold(health: DeploymentHealth, event: HealthEvent) -> DeploymentHealth:
    """The health with one event more."""
    if event.outcome is HealthOutcome.SUCCESS:
        return DeploymentHealth(
            success_rate=_smooth(health.success_rate, 1.0),
            latency_ms=health.latency_ms if event.latency_ms is None else _smooth(health.latency_ms, event.latency_ms),
        )
    if event.outcome is not HealthOutcome.FAILURE or event.failure_kind is None:
        return health
    kind = FailureKind(event.failure_kind)
    if kind is FailureKind.RATE_LIMITED:
        return replace(health, limited_until=event.observed_at + timedelta(seconds=_limited_s(event.retry_after_s)))
    if kind not in _OWN_FAULTS and kind not in _FATAL:
        return health
    in_a_row = health.failures_in_a_row + 1
    opens = kind in _FATAL or in_a_row >= OPENS_AFTER or health.opened_at is not None
    return replace(
        health,
        failures_in_a_row=in_a_row,
        opened_at=event.observed_at if opens else None,
        success_rate=_smooth(health.success_rate, 0.0),
    )


def _smooth(average: float | None, value: float) -> float:
    return value if average is None else average + _SMOOTHING * (value - average)


def _limited_s(retry_after_s: float | None) -> float:
    """How long to stay away: what the provider asked for, within 0 and a minute; a second when it asked for nothing.

    >>> _limited_s(1e9), _limited_s(-1), _limited_s(None)
    (60.0, 0.0, 1.0)
    """
    return 1.0 if retry_after_s is None else min(max(retry_after_s, 0.0), MAX_LIMITED_S)
