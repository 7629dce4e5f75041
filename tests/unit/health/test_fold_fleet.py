"""What several workers, probes and late events tell: rates, quantiles, calls in flight, headroom, and honest circuits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.health.fold import UNKNOWN, Circuit, DeploymentHealth, fold
from processors.health.recent import NOTHING, RATIO, Recent, counted, minute_of
from processors.health.words import Limits
from schemas.health import HealthEvent, HealthOutcome, RateLimits

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def event(kind: str | None = None, *, after_s: float = 0.0, **fields) -> HealthEvent:
    outcome = HealthOutcome.SUCCESS if kind is None else HealthOutcome.FAILURE
    made = {"worker": "w", "in_flight": 1, "failure_kind": kind}
    return HealthEvent("d", "p", "m", outcome=outcome, observed_at=AT + timedelta(seconds=after_s), **(made | fields))


def after(*events: HealthEvent) -> DeploymentHealth:
    health = UNKNOWN
    for one in events:
        health = fold(health, one)
    return health


OPENED = [event("server_error", after_s=n / 10) for n in range(5)]


def circuit(*events: HealthEvent, at_s: float) -> Circuit:
    return after(*events).circuit(AT + timedelta(seconds=at_s))


@pytest.mark.parametrize(
    ("then", "at_s", "found"),
    [
        pytest.param(event(after_s=-1), 2, Circuit.OPEN, id="a-success-from-before-does-not-close"),
        pytest.param(event(after_s=1), 2, Circuit.CLOSED, id="a-success-from-after-closes"),
        pytest.param(event("server_error", after_s=30), 61, Circuit.HALF_OPEN, id="a-straggler-does-not-prolong"),
        pytest.param(event("server_error", after_s=61), 62, Circuit.OPEN, id="a-failure-at-half-open-opens-anew"),
        pytest.param(event(probe=True, after_s=30), 31, Circuit.OPEN, id="a-probe-does-not-close-what-is-open"),
        pytest.param(event(probe=True, after_s=61), 62, Circuit.CLOSED, id="a-probe-closes-what-is-half-open"),
        pytest.param(event("overloaded", probe=True, after_s=61), 62, Circuit.OPEN, id="a-probe-that-fails-opens-anew"),
    ],
)
def test_an_open_circuit(then, at_s, found):
    assert circuit(*OPENED, then, at_s=at_s) is found


def test_a_list_of_models_does_not_prove_that_the_model_is_there():
    missing = event("not_found")
    assert circuit(missing, event(probe=True, after_s=61), at_s=62) is Circuit.HALF_OPEN
    assert circuit(event("not_found", probe=True), at_s=1) is Circuit.CLOSED


def test_a_stale_failure_opens_nothing():
    assert circuit(event(after_s=1), event("unauthorized"), at_s=2) is Circuit.CLOSED


def test_a_failure_that_stands_twice_counts_once():
    twice = [event("server_error", call_id=str(n // 2), after_s=n / 10) for n in range(8)]
    assert circuit(*twice, at_s=1) is Circuit.CLOSED
    assert circuit(*twice, event("server_error", call_id="5th", after_s=1), at_s=1) is Circuit.OPEN


def test_down_since_outlasts_the_probes_in_between():
    health = after(*OPENED, event("server_error", after_s=61), event("timed_out", after_s=122))
    assert (health.opened_at, health.down_since) == (AT + timedelta(seconds=122), AT + timedelta(seconds=0.4))
    assert after(*OPENED, event(after_s=61)).down_since is None


def test_probes_count_in_no_rate():
    health = after(event(latency_ms=100), *[event(probe=True, latency_ms=9_000)] * 9, *[event("overloaded", probe=True)] * 4)
    assert (health.success_rate, health.latency_ms, health.recent.success_rate) == (1.0, 100, 1.0)
    assert health.p95_ms == pytest.approx(100, rel=0.05)
    assert (health.traffic_at, health.probed_at) == (AT, AT)


def test_calls_in_flight_are_the_sum_of_the_workers_last_words():
    health = after(event(worker="a", in_flight=4), event(worker="b", in_flight=3), event(worker="a", in_flight=2, after_s=-5))
    assert health.in_flight == 3 + 2, "an older word of the same worker is none"
    later = fold(health, event(worker="b", in_flight=2, after_s=125))
    assert later.in_flight == 1, "the other worker has been silent for two minutes"
    assert later.busy(AT + timedelta(seconds=300)) == 0


@pytest.mark.parametrize(
    ("limits", "passed_s", "headroom"),
    [
        (RateLimits(requests_limit=100, requests_remaining=25), 1, 0.25),
        (RateLimits(100, 25, 60.0, 1000, 100, 60.0), 1, 0.1),
        (RateLimits(100, 25, 10.0), 11, 1.0),
        (RateLimits(100, 25), 61, None),
        (RateLimits(requests_remaining=25), 1, None),
        (RateLimits(requests_limit=0, requests_remaining=0), 1, None),
        (RateLimits(requests_limit=10, requests_remaining=20), 1, 1.0),
    ],
)
def test_headroom(limits, passed_s, headroom):
    assert after(event(limits=limits)).headroom(AT + timedelta(seconds=passed_s)) == headroom
    assert Limits(limits, AT).headroom(AT + timedelta(seconds=passed_s)) == headroom


def test_the_newest_word_on_limits_holds_and_a_refusal_brings_one():
    full, low = RateLimits(100, 90, 60.0), RateLimits(100, 1, 60.0)
    health = after(
        event(limits=full), event("rate_limited", limits=low, after_s=1), event(limits=full, after_s=-1), event(after_s=2)
    )
    assert health.headroom(AT + timedelta(seconds=2)) == 0.01


def test_old_calls_fade():
    recent = after(*[event(latency_ms=100)] * 64, event(latency_ms=1_000, after_s=360)).recent
    assert recent.calls(AT + timedelta(seconds=360)) == 2.0
    assert recent.calls(AT + timedelta(hours=1)) == 0.0
    assert recent.quantile_ms(0.5)[0] == pytest.approx(100, rel=0.05)
    assert after(*[event(latency_ms=100)] * 64, event(latency_ms=1_000, after_s=1_800)).recent.calls(AT) == 1.0


CALLS = st.lists(st.tuples(st.integers(0, 15), st.booleans(), st.integers(1, 600_000)), min_size=1, max_size=60)


def recent_of(calls) -> Recent:
    recent = NOTHING
    for minute, succeeded, latency_ms in calls:
        recent = counted(recent, minute_of(AT) + minute, succeeded=succeeded, latency_ms=latency_ms)
    return recent


@settings(deadline=None)
@given(CALLS, st.randoms())
def test_the_order_of_the_calls_does_not_matter(calls, chance):
    shuffled = list(calls)
    chance.shuffle(shuffled)
    assert recent_of(shuffled) == recent_of(calls)


@settings(deadline=None)
@given(st.lists(st.integers(1, 900_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_off_by_five_percent_at_most(latencies, quantile):
    recent = recent_of([(0, True, ms) for ms in latencies])
    rank = next(n for n in range(1, len(latencies) + 1) if n >= len(latencies) * quantile)
    exact = sorted(latencies)[rank - 1]
    (found,) = recent.quantile_ms(quantile)
    assert found == pytest.approx(exact, rel=RATIO**0.5 - 1 + 1e-9)


EVENTS = st.lists(
    st.builds(
        event,
        st.sampled_from([None, None, "server_error", "rate_limited", "unauthorized", "rejected", "timed_out"]),
        after_s=st.floats(0, 400),
        worker=st.sampled_from("abc"),
        in_flight=st.integers(0, 9),
        latency_ms=st.none() | st.integers(0, 10_000),
        probe=st.booleans(),
        call_id=st.none() | st.sampled_from("123456789"),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(EVENTS)
def test_laws_of_the_fold(events):
    health = after(*events)
    assert 0.0 <= health.success_rate <= 1.0
    assert 0.0 <= health.recent.calls(AT) <= len(events)
    assert health.in_flight >= 0
    assert (health.opened_at is None) == (health.down_since is None) == (health.opened_by is None)
    assert health.opened_at is None or health.down_since <= health.opened_at
    assert len(health.row) <= 5
    assert health == after(*events), "the same events give the same health"


@settings(deadline=None)
@given(EVENTS)
def test_without_failures_of_its_own_no_circuit_opens(events):
    mild = [e for e in events if e.failure_kind in {None, "rate_limited", "rejected"}]
    assert after(*mild).opened_at is None


@settings(deadline=None)
@given(EVENTS)
def test_a_later_success_closes_whatever_happened(events):
    assert fold(after(*events), replace(event(after_s=500), worker="d")).circuit(AT) is Circuit.CLOSED
