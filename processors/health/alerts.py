"""What a person should look at: raised once when it is so, resolved once when it is no longer so.

Strategy
1. A deployment whose circuit has not closed for five minutes is down. One whose key is refused is told at once.
2. Slow (95 % quantile) and failing (share of failed calls) are judged over the last minutes, from 20 calls on, and resolve below
   four fifths of the threshold: what wavers around it is told once. Without calls both are over.
3. A call of unknown price, a dead letter, and a webhook that was given up are told at the first, and resolve after a quarter of
   an hour without another. The last is its tenant's to mend, and is told apart.
4. What is not known keeps what was told: after a restart a deployment is down until a call or a probe has said otherwise. What
   stands in no catalogue any more is resolved.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from processors.health.fold import DeploymentHealth
from schemas.calls import FailureKind
from schemas.health import AlertRaised, AlertState

DOWN_AFTER = timedelta(minutes=5)
SLOW_MS = 10_000.0
FAILING_RATE = 0.05
ENOUGH_CALLS = 20.0
RESOLVED_BELOW = 0.8
QUIET_FOR = timedelta(minutes=15)

Key = tuple[str, str]
"""Kind and subject: what an alert is, whenever it is raised."""


class AlertKind(StrEnum):
    PROVIDER_DOWN = "provider_down"
    SLOW = "slow"
    FAILING = "failing"
    UNAUTHORIZED = "unauthorized"
    UNKNOWN_PRICE = "unknown_price"
    DEAD_LETTERS = "dead_letters"
    WEBHOOKS_GIVEN_UP = "webhooks_given_up"


_SEVERITY = {AlertKind.PROVIDER_DOWN: "critical", AlertKind.UNAUTHORIZED: "critical", AlertKind.WEBHOOKS_GIVEN_UP: "info"}
_NEXT_STEP = {
    AlertKind.PROVIDER_DOWN: "check the provider's status page and its address; requests go elsewhere or wait meanwhile",
    AlertKind.SLOW: "look at `penstock health`, and route to others, or ask for shorter answers",
    AlertKind.FAILING: "look at `penstock health` and at the kinds of failures in `penstock consume health`",
    AlertKind.UNAUTHORIZED: "check the provider's key, its rights and its credit, then start its workers again",
    AlertKind.UNKNOWN_PRICE: "give the model a price in the price file or in the deployment catalogue",
    AlertKind.DEAD_LETTERS: "read them with `penstock consume dead-letters`; the producer must correct and send them again",
    AlertKind.WEBHOOKS_GIVEN_UP: "the tenants that `penstock consume dead-letters` names must see to their endpoints",
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something was seen since `since`, without a pause of a quarter of an hour."""

    count: int
    since: datetime
    last_at: datetime

    def and_at(self, at: datetime) -> "Tally":
        """With one more."""
        if at - self.last_at >= QUIET_FOR:
            return Tally(1, at, at)
        return Tally(self.count + 1, min(self.since, at), max(self.last_at, at))


@dataclass(frozen=True, slots=True)
class Seen:
    """All that alerts are judged by.

    `deployments`: the names of the catalogue; `unpriced` by model; `dead_letters` by topic, without those of webhooks, which
    are in `given_up`, by reason.
    """

    deployments: frozenset[str]
    health: Mapping[str, DeploymentHealth]
    unpriced: Mapping[str, Tally]
    dead_letters: Mapping[str, Tally]
    given_up: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class _Finding:
    """`holds` None: neither so nor over, or not known; what was told stands."""

    kind: AlertKind
    subject: str
    holds: bool | None
    message: str
    since: datetime
    value: float | None = None
    threshold: float | None = None


def key_of(alert: AlertRaised) -> Key:
    return alert.kind, alert.subject


def standing(alerts: Iterable[AlertRaised]) -> dict[Key, AlertRaised]:
    """What was raised and not resolved, of alerts in the order in which they were written."""
    found: dict[Key, AlertRaised] = {}
    for alert in alerts:
        if alert.state is AlertState.RAISED:
            found[key_of(alert)] = alert
        elif alert.state is AlertState.RESOLVED:
            found.pop(key_of(alert), None)
    return found


def judge(seen: Seen, raised: Mapping[Key, AlertRaised], *, now: datetime) -> tuple[AlertRaised, ...]:
    """What is to be told now, given what stands as raised. Told again after it was taken over, this is nothing."""
    findings = {(f.kind.value, f.subject): f for f in _findings(seen, now)}
    told = [_raised(f, now) for key, f in findings.items() if f.holds and key not in raised]
    for key, alert in raised.items():
        finding = findings.get(key)
        if finding is None and _is_known(key, seen):
            continue
        if finding is None or finding.holds is False:
            told.append(_resolved(alert, finding, now))
    return tuple(told)


def _is_known(key: Key, seen: Seen) -> bool:
    """Whether the alert is about a deployment of the catalogue, of which nothing was heard since a restart."""
    kind, subject = key
    return kind in {AlertKind.PROVIDER_DOWN, AlertKind.UNAUTHORIZED} and subject in seen.deployments


def _findings(seen: Seen, now: datetime) -> Iterator[_Finding]:
    for name, health in seen.health.items():
        if name in seen.deployments:
            yield from _of_deployment(name, health, now)
    for model, tally in seen.unpriced.items():
        message = f"calls of {model} have no known price: they are not in the costs"
        yield _of_tally(AlertKind.UNKNOWN_PRICE, model, tally, message, now)
    for topic, tally in seen.dead_letters.items():
        message = f"records of {topic} could not be processed and were put aside"
        yield _of_tally(AlertKind.DEAD_LETTERS, topic, tally, message, now)
    for reason, tally in seen.given_up.items():
        message = f"deliveries to webhooks of tenants were given up ({reason})"
        yield _of_tally(AlertKind.WEBHOOKS_GIVEN_UP, reason, tally, message, now)


def _of_deployment(name: str, health: DeploymentHealth, now: datetime) -> Iterator[_Finding]:
    since = health.down_since or health.opened_at
    down_s = 0.0 if since is None else (now - since).total_seconds()
    closed = None if since is not None else False
    long = True if down_s > DOWN_AFTER.total_seconds() else closed
    yield _Finding(
        AlertKind.PROVIDER_DOWN,
        name,
        long,
        f"{name} has answered no call for {down_s / 60:.0f} min",
        since or now,
        down_s,
        DOWN_AFTER.total_seconds(),
    )
    refused = True if since is not None and health.opened_by is FailureKind.UNAUTHORIZED else closed
    yield _Finding(AlertKind.UNAUTHORIZED, name, refused, f"the provider refuses the key for {name}", since or now)
    yield from _of_rates(name, health, now)


def _of_rates(name: str, health: DeploymentHealth, now: datetime) -> Iterator[_Finding]:
    calls = health.recent.calls(now)
    (p95_ms,) = health.recent.quantile_ms(0.95)
    failed = health.recent.failure_rate or 0.0
    slow_s = (p95_ms or 0.0) / 1000
    yield _Finding(
        AlertKind.SLOW,
        name,
        _wavering(p95_ms or 0.0, SLOW_MS, calls),
        f"5 % of the calls of {name} take longer than {slow_s:.1f} s",
        now,
        p95_ms,
        SLOW_MS,
    )
    yield _Finding(
        AlertKind.FAILING,
        name,
        _wavering(failed, FAILING_RATE, calls),
        f"{failed:.0%} of the calls of {name} fail",
        now,
        failed,
        FAILING_RATE,
    )


def _wavering(value: float, threshold: float, calls: float) -> bool | None:
    if calls < 1.0 or value < threshold * RESOLVED_BELOW:
        return False
    return True if value > threshold and calls >= ENOUGH_CALLS else None


def _of_tally(kind: AlertKind, subject: str, tally: Tally, message: str, now: datetime) -> _Finding:
    return _Finding(kind, subject, now - tally.last_at < QUIET_FOR, message, tally.since, float(tally.count), 0.0)


def _raised(found: _Finding, now: datetime) -> AlertRaised:
    return AlertRaised(
        kind=found.kind.value,
        subject=found.subject,
        state=AlertState.RAISED,
        severity=_SEVERITY.get(found.kind, "warning"),
        message=found.message,
        next_step=_NEXT_STEP[found.kind],
        since=found.since,
        raised_at=now,
        value=found.value,
        threshold=found.threshold,
    )


def _resolved(alert: AlertRaised, found: _Finding | None, now: datetime) -> AlertRaised:
    return AlertRaised(
        kind=alert.kind,
        subject=alert.subject,
        state=AlertState.RESOLVED,
        severity=alert.severity,
        message=f"no longer so: {alert.message}",
        next_step="nothing is to be done",
        since=alert.since,
        raised_at=now,
        value=None if found is None else found.value,
        threshold=alert.threshold,
    )
