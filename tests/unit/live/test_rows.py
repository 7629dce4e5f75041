"""Providers and lag, as they are told."""

from datetime import timedelta

from processors.health.fold import DeploymentHealth, fold
from processors.live import health, lag
from schemas.deployments import Deployment
from schemas.health import HealthEvent, HealthOutcome
from tests.unit.live.records import T0, at

ONE, OTHER = Deployment("openai/a", "openai", "a"), Deployment("openai/b", "openai", "b")


def heard(*outcomes: tuple[HealthOutcome, str | None]) -> DeploymentHealth:
    known = DeploymentHealth()
    for i, (outcome, kind) in enumerate(outcomes):
        event = HealthEvent("openai/a", "openai", "a", "w1", outcome, 3, at(i - 30), failure_kind=kind, latency_ms=100)
        known = fold(known, event)
    return known


def test_every_deployment_of_the_catalogue_has_a_row_also_those_nobody_told_about() -> None:
    known = {"openai/a": heard((HealthOutcome.SUCCESS, None))}
    told, unheard = health.rows([ONE, OTHER], known, T0, loads=True)
    assert (told["circuit"], told["success_rate"], told["in_flight"]) == ("closed", 1.0, 2)
    assert 95 <= told["p50_ms"] <= 105
    assert unheard == {
        "deployment": "openai/b", "provider": "openai", "model": "b", "circuit": "closed", "opened_by": None, "down_since": None,
        "limited": False, "success_rate": None, "p50_ms": None, "p95_ms": None, "in_flight": None, "headroom": None,
    }  # fmt: skip


def test_a_tenant_is_not_told_how_busy_the_others_are() -> None:
    known = {"openai/a": heard((HealthOutcome.SUCCESS, None))}
    (told,) = health.rows([ONE], known, T0, loads=False)
    assert (told["in_flight"], told["headroom"]) == (None, None)
    assert told["success_rate"] == 1.0


def test_an_open_circuit_says_why_and_is_half_open_after_a_minute() -> None:
    known = {"openai/a": heard((HealthOutcome.FAILURE, "unauthorized"))}
    (told,) = health.rows([ONE], known, T0, loads=True)
    assert (told["circuit"], told["opened_by"], told["down_since"]) == ("open", "unauthorized", at(-30))
    (later,) = health.rows([ONE], known, T0 + timedelta(minutes=2), loads=True)
    assert later["circuit"] == "half_open"


def test_lag_counts_from_what_was_committed_or_from_the_beginning() -> None:
    topic_of = {"r0": "ai.requests", "r1": "ai.requests", "c0": "ai.costs"}
    told = lag.rows({"g": {"r0": 90}}, {"r0": 100, "r1": 50, "c0": 9}, {"r0": 0, "r1": 40, "c0": 0}, topic_of)
    assert told == [{"group": "g", "topic": "ai.requests", "records": 20}]


def test_a_transaction_marker_is_no_lag() -> None:
    assert lag.rows({"g": {"r0": 99}}, {"r0": 100}, {"r0": 0}, {"r0": "ai.requests"})[0]["records"] == 0
