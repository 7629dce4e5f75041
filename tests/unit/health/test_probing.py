"""Probes: only of what no call has told about, once a fleet, one question a provider."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.health.fold import UNKNOWN, DeploymentHealth, fold
from processors.health.probing import Pace, answered, due
from schemas.calls import Failure, FailureKind
from schemas.deployments import Deployment
from schemas.health import HealthEvent, HealthOutcome, RateLimits

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PACE = Pace(after=MINUTE, every=MINUTE)
ONE = Deployment("p/m", "p", "m")


def health(**fields) -> DeploymentHealth:
    return DeploymentHealth(**fields)


@pytest.mark.parametrize(
    ("known", "asked", "is_due"),
    [
        pytest.param(None, {}, True, id="never-heard-of"),
        pytest.param(health(traffic_at=AT - MINUTE / 2), {}, False, id="a-call-of-late"),
        pytest.param(health(traffic_at=AT - MINUTE), {}, True, id="no-call-for-a-minute"),
        pytest.param(health(traffic_at=AT - MINUTE, in_flight=1), {}, False, id="a-long-call-under-way"),
        pytest.param(health(traffic_at=AT - 3 * MINUTE, in_flight=1), {}, True, id="its-worker-must-have-died"),
        pytest.param(health(probed_at=AT - MINUTE / 2), {}, False, id="probed-of-late"),
        pytest.param(health(probed_at=AT - MINUTE), {}, True, id="probed-a-minute-ago"),
        pytest.param(None, {"p": AT - MINUTE / 2}, False, id="asked-and-the-answer-told-nothing"),
        pytest.param(None, {"q": AT}, True, id="another-provider-was-asked"),
    ],
)
def test_due(known, asked, is_due):
    found = due([ONE], {} if known is None else {"p/m": known}, asked, PACE, now=AT)
    assert found == ({"p": (ONE,)} if is_due else {})


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        pytest.param(None, "success", id="there"),
        pytest.param(RateLimits(requests_remaining=1), "success", id="there-with-limits"),
        pytest.param(Failure(FailureKind.UNAUTHORIZED, "", http_status=401), "unauthorized", id="key-refused"),
        pytest.param(Failure(FailureKind.UNAUTHORIZED, "", http_status=403), None, id="the-key-may-not-list"),
        pytest.param(Failure(FailureKind.NOT_FOUND, "", http_status=404), None, id="no-such-list"),
        pytest.param(Failure(FailureKind.REJECTED, "", http_status=400), None, id="no-such-question"),
        pytest.param(Failure(FailureKind.MALFORMED_REPLY, ""), None, id="a-page"),
        pytest.param(Failure(FailureKind.UNREACHABLE, ""), "unreachable", id="not-there"),
        pytest.param(Failure(FailureKind.OVERLOADED, "", http_status=503, retry_after_s=3.0), "overloaded", id="overloaded"),
        pytest.param(Failure(FailureKind.TIMED_OUT, ""), "timed_out", id="silent"),
        pytest.param(Failure(FailureKind.RATE_LIMITED, "", http_status=429), "rate_limited", id="limited"),
    ],
)
def test_what_a_probe_tells(found, kind):
    event = answered(ONE, found, worker="w", now=AT, latency_ms=5)
    if kind is None:
        assert event is None
        return
    assert (event.probe, event.in_flight, event.deployment, event.latency_ms) == (True, 0, "p/m", 5)
    assert (event.outcome is HealthOutcome.SUCCESS) == (kind == "success")
    assert event.failure_kind == (None if kind == "success" else kind)
    assert event.limits == (found if isinstance(found, RateLimits) else None)


@pytest.mark.parametrize("often_s", [{"a": 10, "b": 10, "c": 600}, {"a": 10}, {}], ids=["half-busy", "one-busy", "all-idle"])
def test_far_fewer_probes_than_from_every_instance_of_every_deployment(often_s):
    """An hour of three instances: four providers with two deployments each; `often_s` says how often each is called."""
    instances, minutes = 3, 60
    fleet = [Deployment(f"{p}/{m}", p, m) for p in "abcd" for m in ("large", "small")]
    known = {d.name: UNKNOWN for d in fleet}
    asked: dict[str, datetime] = {}
    questions = 0
    for second in range(minutes * 60):
        now = AT + timedelta(seconds=second)
        for d in fleet:
            if second % often_s.get(d.provider, 86_400) == 1:
                event = HealthEvent(d.name, d.provider, d.model, "w", HealthOutcome.SUCCESS, 1, now, latency_ms=100)
                known[d.name] = fold(known[d.name], event)
        found = due(fleet, known, asked, PACE, now=now)
        asked |= dict.fromkeys(found, now)
        questions += len(found)
        for d in (d for idle in found.values() for d in idle):
            assert second == 0 or often_s.get(d.provider, 600) >= 60, "never with traffic"
            known[d.name] = fold(known[d.name], answered(d, None, worker="w", now=now, latency_ms=1))
    naive = instances * len(fleet) * minutes
    assert questions >= minutes
    assert questions <= 0.2 * naive, f"{questions} questions instead of {naive}"
