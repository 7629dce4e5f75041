"""What counts as a failover, and between which instants it is measured."""

from datetime import timedelta

import pytest

from bench.choices_stages.failovers import Failover, failovers
from schemas.calls import CallOrdered, CallReported, FailureKind
from schemas.requests import Operation
from schemas.routing import Candidate
from streams.simulator.call_log import Call
from tests.fakes.records import CHEAP, DEAR, T0, at, failed, started


def order(attempt: int, ordered_s: float) -> CallOrdered:
    return CallOrdered(
        request_id="r1",
        attempt=attempt,
        tenant="acme",
        lane="acme",
        deployment=DEAR.deployment,
        provider=DEAR.provider,
        model=DEAR.model,
        operation=Operation.CHAT,
        request=b"",
        input_tokens_estimate=1,
        output_tokens_bound=1,
        stream=False,
        timeout_ms=1,
        ordered_at=at(ordered_s),
        deadline=at(600),
    )


def arrival(call_id: str, arrived_s: float) -> Call:
    return Call(
        run="run",
        seq=1,
        call_id=call_id,
        request_id="r1",
        provider="p",
        model=None,
        t_in=(T0 + timedelta(seconds=arrived_s)).timestamp(),
        bytes_out=0,
        input_tokens=0,
        output_tokens=0,
        completed=True,
        status=503,
        fault=None,
        finished=True,
    )


def one(failure: CallReported, candidate: Candidate = DEAR, wanted: frozenset[str] = frozenset({"r1"})) -> list[Failover]:
    """A call that arrived at 1 s, failed at 2 s, and the one after it: ordered at 2.01 s, started at 2.03 s, there at 2.06 s."""
    after = started("c2", attempt=2, candidate=candidate, reported_at=at(2.03))
    reports = [started("c1", reported_at=at(0.9)), failure, after]
    calls = [arrival("c1", 1), arrival("c2", 2.06)]
    return failovers(reports, [order(1, 0.5), order(2, 2.01)], calls, set(wanted))


def overloaded(**changes: object) -> CallReported:
    return failed("c1", FailureKind.OVERLOADED, reported_at=at(2), **changes)


def test_it_is_measured_from_the_report_of_the_failure_to_the_arrival_of_the_next_call():
    (found,) = one(overloaded())
    assert (found.to_next_ms, found.to_started_ms) == pytest.approx((60, 30), abs=0.01)
    assert found.between_providers_ms == pytest.approx(1_060, abs=0.01)
    assert (found.ordered_ms, found.started_ms, found.sent_ms) == pytest.approx((10, 20, 30), abs=0.01)


def test_another_call_of_the_same_provider_is_a_retry():
    assert one(overloaded(), candidate=CHEAP) == []


def test_who_was_told_to_wait_does_not_count():
    assert one(overloaded(retry_after_s=1)) == []


def test_requests_of_the_warm_up_do_not_count():
    assert one(overloaded(), wanted=frozenset({"r2"})) == []
