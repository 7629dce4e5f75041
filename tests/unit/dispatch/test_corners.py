"""Corners of the dispatcher's transitions where two rules meet."""

from dataclasses import replace

import pytest

from processors.dispatch.events import Advised
from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, FailureKind
from schemas.outcomes import ResponseStatus
from schemas.routing import CandidateUse
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, LARGE, SPARE, asking, at, completed, failed, routed, started

SECOND = {"attempt": 2, "candidate": DEAR}


def test_a_request_with_candidates_for_long_inputs_alone_is_answered_and_does_not_wake_for_ever():
    lane = FakeLane()
    lane.on(routed(candidates=(LARGE,)), at(0))
    assert [final.error.kind for final in lane.finals] == ["no_candidate"]


def test_a_hedge_passes_over_a_deployment_that_is_down():
    lane = FakeLane()
    lane.on(Advised(DEAR.deployment, down=True), at(0))
    lane.on(routed(candidates=(CHEAP, DEAR, replace(SPARE, use=CandidateUse.ALWAYS)), hedge_after_ms=2_000), at(0))
    lane.run_timers(at(2))
    assert [order.deployment for order in lane.orders] == [CHEAP.deployment, SPARE.deployment]


def test_a_hedge_that_comes_too_late_is_not_the_end_of_the_first_call():
    lane = FakeLane()
    lane.on(routed(hedge_after_ms=2_000), at(0))
    lane.on(started("c1"), at(0))
    lane.run_timers(at(2))
    lane.on(failed("c2", FailureKind.EXPIRED, **SECOND), at(3))
    assert not lane.finals
    lane.on(completed("c1"), at(4))
    assert [final.status for final in lane.finals] == [ResponseStatus.OK]


def test_a_hedge_that_comes_too_late_is_the_end_when_the_first_call_fails_as_well():
    lane = FakeLane()
    lane.on(routed(hedge_after_ms=2_000), at(0))
    lane.run_timers(at(2))
    lane.on(failed("c2", FailureKind.EXPIRED, **SECOND), at(3))
    lane.on(failed("c1", FailureKind.OVERLOADED), at(4))
    assert [final.status for final in lane.finals] == [ResponseStatus.EXPIRED]


def test_what_may_have_been_billed_is_not_called_again_because_its_hedge_has_failed_otherwise():
    lane = FakeLane(DispatchPolicy(retry_indeterminate=False))
    lane.on(routed(hedge_after_ms=2_000, candidates=(CHEAP, DEAR, SPARE)), at(0))
    lane.run_timers(at(2))
    lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(3))
    lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(4))
    assert [final.error.kind for final in lane.finals] == ["timed_out"]


def test_a_request_that_was_rejected_is_not_hedged_while_the_twin_of_its_call_runs():
    lane = FakeLane()
    lane.on(routed(hedge_after_ms=2_000), at(0))
    lane.on(started("twin"), at(0))
    lane.on(started("c1"), at(0))
    lane.on(failed("c1", FailureKind.REJECTED), at(1))
    lane.run_timers(at(2))
    assert len(lane.orders) == 1


def test_a_failure_told_twice_while_the_twin_of_its_call_runs_counts_once():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("twin"), at(0))
    lane.on(started("c1"), at(0))
    for _ in range(2):
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
    assert lane.state.open["acme/r1"].state.sent == 1


def test_a_follower_is_not_sent_to_a_deployment_that_the_same_failure_has_found_down():
    lane = FakeLane(DispatchPolicy(max_attempts=1, circuit_failures=1))
    for name in ("r1", "r2"):
        lane.on(asking(name, candidates=(CHEAP,)), at(0))
    lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
    assert len(lane.orders) == 1


@pytest.mark.parametrize(("use", "first"), [(CandidateUse.ALWAYS, SPARE), (CandidateUse.FALLBACK, CHEAP)])
def test_fallbacks_come_last_wherever_they_stand(use, first):
    lane = FakeLane()
    lane.on(routed(candidates=(replace(SPARE, use=use), CHEAP)), at(0))
    assert lane.orders[0].deployment == first.deployment


def test_a_hedge_does_not_take_the_fallback():
    lane = FakeLane()
    lane.on(routed(candidates=(CHEAP, SPARE), hedge_after_ms=2_000), at(0))
    lane.run_timers(at(2))
    assert [order.deployment for order in lane.orders] == [CHEAP.deployment]


def test_two_tenants_of_a_partition_never_share():
    lane = FakeLane()
    lane.on(asking(), at(0))
    lane.on(asking("r2", tenant="other"), at(0))
    assert [order.tenant for order in lane.orders] == ["acme", "other"]
