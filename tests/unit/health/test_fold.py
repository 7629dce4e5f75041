"""When a deployment counts as ill: five failures of its own in a row, or one that the next call would share."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.health.fold import UNKNOWN, Circuit, DeploymentHealth, fold
from schemas.health import HealthEvent, HealthOutcome

AT = datetime(2026, 6, 1, tzinfo=UTC)


def failed(kind: str, at: datetime = AT, retry_after_s: float | None = None) -> HealthEvent:
    return HealthEvent("d", "p", "m", "w", HealthOutcome.FAILURE, 1, at, failure_kind=kind, retry_after_s=retry_after_s)


def succeeded(latency_ms: int | None = 100, at: datetime = AT) -> HealthEvent:
    return HealthEvent("d", "p", "m", "w", HealthOutcome.SUCCESS, 1, at, latency_ms=latency_ms)


def after(*events: HealthEvent, start: DeploymentHealth = UNKNOWN) -> DeploymentHealth:
    for event in events:
        start = fold(start, event)
    return start


@pytest.mark.parametrize(
    ("events", "circuit"),
    [
        pytest.param([], Circuit.CLOSED, id="nothing-known"),
        pytest.param([failed("server_error")] * 4, Circuit.CLOSED, id="four"),
        pytest.param([failed("server_error")] * 5, Circuit.OPEN, id="five"),
        pytest.param(
            [failed("timed_out"), failed("unreachable"), failed("overloaded"), failed("interrupted"), failed("malformed_reply")],
            Circuit.OPEN,
            id="five-of-any-kind",
        ),
        pytest.param([*[failed("server_error")] * 4, succeeded(), failed("server_error")], Circuit.CLOSED, id="not-in-a-row"),
        pytest.param(
            [*[failed("server_error")] * 4, failed("rejected"), failed("server_error")],
            Circuit.OPEN,
            id="others-do-not-break-the-row",
        ),
        pytest.param([failed("rate_limited")] * 100, Circuit.CLOSED, id="rate-limits-alone-never"),
        pytest.param(
            [failed(kind) for kind in ("rejected", "context_too_long", "expired", "cancelled")] * 5,
            Circuit.CLOSED,
            id="the-requests-own-fault",
        ),
        pytest.param([failed("a_kind_of_tomorrow")] * 10, Circuit.CLOSED, id="unknown-kind"),
        pytest.param([failed("unauthorized")], Circuit.OPEN, id="refused-key-at-once"),
        pytest.param([failed("not_found")], Circuit.OPEN, id="missing-model-at-once"),
        pytest.param([*[failed("server_error")] * 9, succeeded()], Circuit.CLOSED, id="a-success-closes"),
    ],
)
def test_circuit(events, circuit):
    assert after(*events).circuit(AT + timedelta(seconds=1)) is circuit


def test_half_open_after_a_minute_and_open_anew_after_one_failure():
    health = after(*[failed("server_error")] * 5)
    minute = AT + timedelta(seconds=60)
    assert [health.circuit(at) for at in (minute - timedelta(microseconds=1), minute)] == [Circuit.OPEN, Circuit.HALF_OPEN]
    again = fold(health, failed("server_error", at=minute))
    assert again.circuit(minute + timedelta(seconds=59)) is Circuit.OPEN
    assert fold(health, succeeded(at=minute)).circuit(minute) is Circuit.CLOSED


@pytest.mark.parametrize(
    ("retry_after_s", "limited_s"),
    [(None, 1), (5.0, 5), (-1.0, 0), (1e9, 60)],
)
def test_a_limit_lasts_as_asked_within_a_minute(retry_after_s, limited_s):
    health = after(failed("rate_limited", retry_after_s=retry_after_s))
    assert not health.limited(AT + timedelta(seconds=limited_s))
    assert limited_s == 0 or health.limited(AT + timedelta(seconds=limited_s - 0.001))


def test_averages():
    assert after(succeeded(100), succeeded(200)).latency_ms == pytest.approx(110)
    assert after(succeeded(100), succeeded(None)).latency_ms == 100
    assert after(failed("server_error"), failed("server_error")).success_rate == pytest.approx(0.81)
    assert after(failed("rate_limited")).success_rate == 1.0
