"""Alerts: raised once when it is so, resolved once when it is no longer so, whatever is judged again in between."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.health.alerts import QUIET_FOR, Seen, Tally, judge, standing
from processors.health.fold import UNKNOWN, DeploymentHealth, fold
from schemas.health import AlertState, HealthEvent, HealthOutcome

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
RAISED, RESOLVED = AlertState.RAISED, AlertState.RESOLVED


def seconds(value: float) -> datetime:
    return AT + timedelta(seconds=value)


def of(count: int, kind: str | None = None, *, at_s: float = 0.0, latency_ms: int = 100, start=UNKNOWN) -> DeploymentHealth:
    outcome = HealthOutcome.SUCCESS if kind is None else HealthOutcome.FAILURE
    for _ in range(count):
        event = HealthEvent("d", "p", "m", "w", outcome, 1, seconds(at_s), failure_kind=kind, latency_ms=latency_ms)
        start = fold(start, event)
    return start


def seen(health: DeploymentHealth | None = None, *, unpriced=(), dead_letters=(), given_up=(), deployments=("d",)) -> Seen:
    known = {} if health is None else {"d": health}
    return Seen(frozenset(deployments), known, dict(unpriced), dict(dead_letters), dict(given_up))


def told(*steps: tuple[float, Seen]) -> list[tuple[str, str, AlertState]]:
    """What is told over time, each step judged twice: the second time nothing is new."""
    log = []
    for at_s, found in steps:
        new = judge(found, standing(log), now=seconds(at_s))
        log += new
        assert judge(found, standing(log), now=seconds(at_s)) == ()
    return [(alert.kind, alert.subject, alert.state) for alert in log]


DOWN = of(5, "unreachable")
REFUSED = of(1, "unauthorized")
HALF_FAIL = of(10, "server_error", start=of(10))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([(300, seen(DOWN))], [], id="down-for-five-minutes-is-not-yet-more"),
        pytest.param([(301, seen(DOWN))], [("provider_down", RAISED)], id="down"),
        pytest.param(
            [(301, seen(DOWN)), (400, seen(of(1, at_s=400, start=DOWN)))],
            [("provider_down", RAISED), ("provider_down", RESOLVED)],
            id="back",
        ),
        pytest.param(
            [(301, seen(DOWN)), (302, seen(None)), (303, seen(DOWN))],
            [("provider_down", RAISED)],
            id="unknown-keeps-what-was-told",
        ),
        pytest.param(
            [(301, seen(DOWN)), (302, seen(DOWN, deployments=()))],
            [("provider_down", RAISED), ("provider_down", RESOLVED)],
            id="out-of-the-catalogue",
        ),
        pytest.param([(1, seen(REFUSED))], [("unauthorized", RAISED)], id="refused-key-at-once"),
        pytest.param(
            [(1, seen(REFUSED)), (62, seen(of(1, "timed_out", at_s=61, start=REFUSED)))],
            [("unauthorized", RAISED)],
            id="another-trouble-does-not-tell-that-the-key-is-taken",
        ),
        pytest.param([(1, seen(of(19, latency_ms=11_000)))], [], id="too-few-to-be-slow"),
        pytest.param([(1, seen(of(20, latency_ms=11_000)))], [("slow", RAISED)], id="slow"),
        pytest.param([(1, seen(of(20, latency_ms=9_000)))], [], id="not-slow"),
        pytest.param(
            [(1, seen(of(20, latency_ms=11_000))), (2, seen(of(20, latency_ms=9_000))), (3, seen(of(20, latency_ms=11_000)))],
            [("slow", RAISED)],
            id="wavering-around-slow",
        ),
        pytest.param(
            [(1, seen(of(20, latency_ms=11_000))), (2, seen(of(20, latency_ms=7_000)))],
            [("slow", RAISED), ("slow", RESOLVED)],
            id="fast-again",
        ),
        pytest.param(
            [(1, seen(of(20, latency_ms=11_000))), (600, seen(of(20, latency_ms=11_000)))],
            [("slow", RAISED), ("slow", RESOLVED)],
            id="no-calls-no-longer-slow",
        ),
        pytest.param([(1, seen(of(1, "server_error", start=of(19))))], [], id="five-percent-is-not-more"),
        pytest.param([(1, seen(of(2, "server_error", start=of(19))))], [("failing", RAISED)], id="failing"),
        pytest.param([(1, seen(of(100, "rate_limited")))], [], id="rate-limits-alone-never"),
    ],
)
def test_alerts_of_a_deployment(steps, expected):
    assert told(*steps) == [(kind, "d", state) for kind, state in expected]


def test_tallies_are_told_at_the_first_and_resolve_when_it_is_quiet():
    one = Tally(1, AT, AT)
    quiet_s = QUIET_FOR.total_seconds()
    steps = [
        (0, seen(unpriced={"p/m": one}, dead_letters={"ai.requests": one})),
        (5, seen(unpriced={"p/m": one.and_at(seconds(5))}, dead_letters={"ai.requests": one})),
        (quiet_s, seen(unpriced={"p/m": one.and_at(seconds(5))}, dead_letters={"ai.requests": one})),
        (quiet_s + 9, seen()),
    ]
    assert told(*steps) == [
        ("unknown_price", "p/m", RAISED),
        ("dead_letters", "ai.requests", RAISED),
        ("dead_letters", "ai.requests", RESOLVED),
        ("unknown_price", "p/m", RESOLVED),
    ]


def test_a_webhook_that_is_given_up_is_told_apart():
    (alert,) = judge(seen(given_up={"gone": Tally(3, AT, AT)}), {}, now=AT)
    assert (alert.kind, alert.subject, alert.severity, alert.value) == ("webhooks_given_up", "gone", "info", 3)


def test_a_tally_begins_anew_after_quiet():
    tally = Tally(1, AT, AT).and_at(seconds(60)).and_at(seconds(30))
    assert tally == Tally(3, AT, seconds(60))
    assert tally.and_at(seconds(60) + QUIET_FOR).count == 1


def test_what_is_told_says_what_was_seen_and_what_to_do():
    (alert,) = judge(seen(DOWN), {}, now=seconds(360))
    assert (alert.severity, alert.value, alert.threshold, alert.since, alert.raised_at) == (
        "critical",
        360,
        300,
        AT,
        seconds(360),
    )
    assert alert.message
    assert alert.next_step


MOMENTS = st.lists(st.sampled_from(["down", "refused", "slow", "failing", "well", "unknown"]), max_size=30)
STATES = {
    "down": DOWN, "refused": REFUSED, "slow": of(50, latency_ms=20_000), "failing": HALF_FAIL, "well": of(50), "unknown": None,
}  # fmt: skip


@settings(deadline=None)
@given(MOMENTS)
def test_raised_and_resolved_take_turns(moments):
    steps = [(301.0 + n, seen(STATES[name])) for n, name in enumerate(moments)]
    states: dict[tuple[str, str], list[AlertState]] = {}
    for kind, subject, state in told(*steps):
        states.setdefault((kind, subject), []).append(state)
    for sequence in states.values():
        assert sequence == [RAISED if n % 2 == 0 else RESOLVED for n in range(len(sequence))]


@settings(deadline=None)
@given(MOMENTS, st.integers(0, 29))
def test_a_restart_tells_nothing_twice(moments, cut):
    """What stands is all that is carried over: judged from the log, it goes on as if nothing had happened."""
    whole = told(*[(301.0 + n, seen(STATES[name])) for n, name in enumerate(moments)])
    log = []
    for n, name in enumerate(moments):
        if n == cut:
            log += judge(seen(None), standing(log), now=seconds(301.0 + n))
        log += judge(seen(STATES[name]), standing(log), now=seconds(301.0 + n))
    critical = {"provider_down", "unauthorized"}
    assert [w for w in whole if w[0] in critical] == [(a.kind, a.subject, a.state) for a in log if a.kind in critical]
