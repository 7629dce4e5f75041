"""Which deployments to ask whether they are there: those that no call has told about lately.

One question a provider answers for all of its deployments that are due: it asks for the server and the key, not for a model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from processors.health.fold import UNKNOWN, DeploymentHealth
from schemas.calls import Failure, FailureKind
from schemas.deployments import Deployment
from schemas.health import HealthEvent, HealthOutcome, RateLimits

_TELLING = frozenset(
    {
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.UNREACHABLE,
        FailureKind.TIMED_OUT,
        FailureKind.INTERRUPTED,
        FailureKind.RATE_LIMITED,
    }
)
_KEY_REFUSED = 401


@dataclass(frozen=True, slots=True)
class Pace:
    """After how long without a call, and how often, a deployment is asked."""

    after: timedelta
    every: timedelta


def due(
    deployments: Iterable[Deployment],
    health: Mapping[str, DeploymentHealth],
    asked: Mapping[str, datetime],
    pace: Pace,
    *,
    now: datetime,
) -> dict[str, tuple[Deployment, ...]]:
    """The deployments to ask about, by provider. `asked`: when this process asked a provider last, whatever came of it."""
    found: dict[str, list[Deployment]] = {}
    for deployment in deployments:
        if _is_idle(health.get(deployment.name, UNKNOWN), pace, now):
            found.setdefault(deployment.provider, []).append(deployment)
    return {provider: tuple(idle) for provider, idle in found.items() if _passed(asked.get(provider), pace.every, now)}


def _is_idle(health: DeploymentHealth, pace: Pace, now: datetime) -> bool:
    return health.busy(now) == 0 and _passed(health.traffic_at, pace.after, now) and _passed(health.probed_at, pace.every, now)


def _passed(at: datetime | None, span: timedelta, now: datetime) -> bool:
    return at is None or now - at >= span


def answered(
    deployment: Deployment, found: RateLimits | Failure | None, *, worker: str, now: datetime, latency_ms: int
) -> HealthEvent | None:
    """What a probe tells about a deployment; None when the refusal was of the question, and calls may be answered all the same.

    Many compatible servers have no list of models, and a key may be good for calls alone: only 401 says that it is refused.
    """
    event = HealthEvent(
        deployment=deployment.name,
        provider=deployment.provider,
        model=deployment.model,
        worker=worker,
        outcome=HealthOutcome.SUCCESS,
        in_flight=0,
        observed_at=now,
        latency_ms=latency_ms,
        probe=True,
        limits=found if isinstance(found, RateLimits) else None,
    )
    if not isinstance(found, Failure):
        return event
    if found.kind not in _TELLING and found.http_status != _KEY_REFUSED:
        return None
    return replace(
        event,
        outcome=HealthOutcome.FAILURE,
        failure_kind=found.kind.value,
        http_status=found.http_status,
        retry_after_s=found.retry_after_s,
    )
