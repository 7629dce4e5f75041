"""The health of a deployment: a fold of its health events.

Strategy
1. Five failures in a row that are the deployment's own open its circuit for 60 s. A key that is refused, or a model that is not
   there, opens it at once: the next call would fail alike.
2. After 60 s it is half open: routed to again, after the healthy ones. A success closes it; a failure opens it anew. While it is
   open, failures of calls that were under way change nothing.
3. Rate limits open nothing: the deployment is well, and ranks behind the others for as long as it asked for.
4. What is the request's own fault (refused, too long, expired, cancelled) says nothing about the deployment.
5. A probe asks only whether the server is there and takes the key. Its success closes a circuit that is half open, unless that
   was opened for want of the model. It counts in no rate and no latency.
6. Events of several workers follow each other as they stand in the topic. One from before the circuit opened does not close it,
   and a failure from before the newest success opens nothing. A failure that stands in the topic twice counts once.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from processors.health.recent import NOTHING, Recent, counted, minute_of
from processors.health.words import FORGOTTEN_AFTER, Limits, Word, Words, heard, in_flight
from schemas.calls import FailureKind
from schemas.health import HealthEvent, HealthOutcome

OPENS_AFTER = 5
OPEN_FOR = timedelta(seconds=60)
MAX_LIMITED_S = 60.0
_SMOOTHING = 0.1
_SECOND = timedelta(seconds=1)
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
    """What is known of one deployment.

    `success_rate` and `latency_ms` are exponential averages over about the last ten calls, for whoever must notice a change soon;
    `recent` has the last minutes, and `p95_ms` is read from it once a second at most. `in_flight` is the sum of the workers' last
    words. `down_since`: when the circuit opened first, however often it opened anew; `opened_by`: the failure that opened it.
    `row` has the ids of the failures in a row, as far as they have one.
    """

    failures_in_a_row: int = 0
    opened_at: datetime | None = None
    limited_until: datetime | None = None
    success_rate: float = 1.0
    latency_ms: float | None = None
    p95_ms: float | None = None
    in_flight: int = 0
    down_since: datetime | None = None
    opened_by: FailureKind | None = None
    succeeded_at: datetime | None = None
    traffic_at: datetime | None = None
    probed_at: datetime | None = None
    recent: Recent = NOTHING
    words: Words = field(default_factory=dict)
    limits: Limits | None = None
    row: tuple[str, ...] = ()

    def circuit(self, now: datetime) -> Circuit:
        """Closed, open, or half open: due to be tried again."""
        if self.opened_at is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self.opened_at + OPEN_FOR else Circuit.HALF_OPEN

    def limited(self, now: datetime) -> bool:
        """Whether the provider has asked to be left alone."""
        return self.limited_until is not None and now < self.limited_until

    def headroom(self, now: datetime) -> float | None:
        """The share of the key's rate limits that is left, 0 to 1; None when the provider has not told lately."""
        return None if self.limits is None else self.limits.headroom(now)

    def busy(self, now: datetime) -> int:
        """The calls in flight; none once no call has ended for so long that its worker must have died."""
        return self.in_flight if self.traffic_at is not None and now - self.traffic_at <= FORGOTTEN_AFTER else 0

    @property
    def heard_at(self) -> datetime | None:
        """When a call or a probe last told about it."""
        return _later(self.traffic_at, self.probed_at)


UNKNOWN = DeploymentHealth()
"""Of a deployment that no call has told about: taken for well."""


def fold(health: DeploymentHealth, event: HealthEvent) -> DeploymentHealth:
    """The health with one event more."""
    if event.outcome is HealthOutcome.SUCCESS:
        return _probe_succeeded(health, event) if event.probe else _succeeded(health, event)
    if event.outcome is not HealthOutcome.FAILURE or event.failure_kind is None:
        return health
    kind = FailureKind(event.failure_kind)
    if kind is FailureKind.RATE_LIMITED:
        until = event.observed_at + timedelta(seconds=_limited_s(event.retry_after_s))
        return replace(health, limited_until=until, **_word(health, event))
    # For a probe, what is not there is a list of models; the calls can do without.
    tells = kind in _OWN_FAULTS or (kind in _FATAL and not (event.probe and kind is FailureKind.NOT_FOUND))
    told_before = event.call_id is not None and event.call_id in health.row
    return _failed(health, event, kind) if tells and not told_before else health


def _succeeded(health: DeploymentHealth, event: HealthEvent) -> DeploymentHealth:
    at, latency_ms, opened_at = event.observed_at, event.latency_ms, health.opened_at
    minute = minute_of(at)
    recent = counted(health.recent, minute, succeeded=True, latency_ms=latency_ms)
    words = heard(health.words, event.worker, Word(max(event.in_flight - 1, 0), at))
    same_second = _same_second(health, at)
    closed = opened_at is None or at >= opened_at
    # Spelled out, and not `replace`: every call of the fleet comes by here, in every process.
    return DeploymentHealth(
        failures_in_a_row=0 if closed else health.failures_in_a_row,
        opened_at=None if closed else opened_at,
        limited_until=None,
        success_rate=_smooth(health.success_rate, 1.0),
        latency_ms=health.latency_ms if latency_ms is None else _smooth(health.latency_ms, latency_ms),
        p95_ms=health.p95_ms if same_second else recent.quantile_ms(0.95)[0],
        in_flight=in_flight(words),
        down_since=None if closed else health.down_since,
        opened_by=None if closed else health.opened_by,
        succeeded_at=_later(health.succeeded_at, at),
        traffic_at=_later(health.traffic_at, at),
        probed_at=health.probed_at,
        recent=recent,
        words=words,
        limits=_limits(health, event),
        row=() if closed else health.row,
    )


def _probe_succeeded(health: DeploymentHealth, event: HealthEvent) -> DeploymentHealth:
    health = replace(health, **_word(health, event))
    if health.circuit(event.observed_at) is not Circuit.HALF_OPEN or health.opened_by is FailureKind.NOT_FOUND:
        return health
    return replace(health, failures_in_a_row=0, opened_at=None, down_since=None, opened_by=None, row=())


def _failed(health: DeploymentHealth, event: HealthEvent, kind: FailureKind) -> DeploymentHealth:
    """A failure of the deployment's own. Only a call that ran out of time tells how long answers take."""
    at = event.observed_at
    told = _word(health, event) | _circuit_after(health, event, kind)
    if event.probe:
        return replace(health, **told)
    latency_ms = event.latency_ms if kind is FailureKind.TIMED_OUT else None
    recent = counted(health.recent, minute_of(at), succeeded=False, latency_ms=latency_ms)
    p95_ms = health.p95_ms if _same_second(health, at) else recent.quantile_ms(0.95)[0]
    return replace(health, success_rate=_smooth(health.success_rate, 0.0), recent=recent, p95_ms=p95_ms, **told)


def _circuit_after(health: DeploymentHealth, event: HealthEvent, kind: FailureKind) -> dict[str, Any]:
    """What a failure changes of the circuit."""
    at, opened_at = event.observed_at, health.opened_at
    if health.succeeded_at is not None and at < health.succeeded_at:
        return {}
    in_a_row = health.failures_in_a_row + 1
    row = health.row if event.call_id is None else (*health.row, event.call_id)[-OPENS_AFTER:]
    changed: dict[str, Any] = {"failures_in_a_row": in_a_row, "row": row}
    if opened_at is None:
        if kind in _FATAL or in_a_row >= OPENS_AFTER:
            changed |= {"opened_at": at, "down_since": at, "opened_by": kind}
    elif at >= opened_at + OPEN_FOR:
        changed |= {"opened_at": at, "opened_by": kind}
    elif kind in _FATAL and health.opened_by not in _FATAL:
        changed["opened_by"] = kind
    return changed


def _word(health: DeploymentHealth, event: HealthEvent) -> dict[str, Any]:
    """What an event tells besides its outcome."""
    at, limits = event.observed_at, _limits(health, event)
    if event.probe:
        return {"probed_at": _later(health.probed_at, at), "limits": limits}
    words = heard(health.words, event.worker, Word(max(event.in_flight - 1, 0), at))
    return {
        "traffic_at": _later(health.traffic_at, at),
        "limits": limits,
        "words": words,
        "in_flight": in_flight(words),
    }


def _limits(health: DeploymentHealth, event: HealthEvent) -> Limits | None:
    """The newest word of the provider, whichever worker passed it on: the key is the same."""
    if event.limits is None or (health.limits is not None and health.limits.at > event.observed_at):
        return health.limits
    return Limits(event.limits, event.observed_at)


def _same_second(health: DeploymentHealth, at: datetime) -> bool:
    """Whether a quantile was read in this second already: reading it takes as long as all the rest of the fold."""
    last = health.traffic_at
    return health.p95_ms is not None and last is not None and last.second == at.second and abs(at - last) < _SECOND


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)


def _smooth(average: float | None, value: float) -> float:
    return value if average is None else average + _SMOOTHING * (value - average)


def _limited_s(retry_after_s: float | None) -> float:
    """How long to stay away: what the provider asked for, within 0 and a minute; a second when it asked for nothing.

    >>> _limited_s(1e9), _limited_s(-1), _limited_s(None)
    (60.0, 0.0, 1.0)
    """
    return 1.0 if retry_after_s is None else min(max(retry_after_s, 0.0), MAX_LIMITED_S)
