"""A request whose sender no longer wants the answer."""

from processors.dispatch.answers import CANCELLED
from processors.dispatch.events import Cancelled
from schemas.calls import Billing, FailureKind, Usage
from schemas.ledger import CostKind
from schemas.outcomes import ResponseStatus
from schemas.routing import Fallback
from schemas.state import RequestPhase
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, at, completed, failed, routed, started

KEY = "acme/r1"


def test_it_is_answered_so_at_once_and_no_fallback_stands_in():
    lane = FakeLane()
    lane.on(routed(fallback=Fallback(text="sorry")), at(0))
    lane.on(Cancelled(KEY), at(1))
    [final] = lane.finals
    assert (final.status, final.error, final.cost_nanousd) == (ResponseStatus.ERROR, CANCELLED, 0)
    assert KEY not in lane.state.open
    lane.run_timers(at(900))
    assert len(lane.finals) == 1


def test_the_call_under_way_is_charged_as_wasted_when_it_is_reported():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("c1"), at(0))
    lane.on(Cancelled(KEY), at(1))
    lane.on(completed("c1", usage=Usage(10, 5)), at(2))
    [cost] = lane.costs
    assert (cost.kind, cost.wasted, cost.usage) == (CostKind.CALL, True, Usage(10, 5))
    assert [final.error for final in lane.finals] == [CANCELLED]
    assert not lane.state.calls


def test_a_call_that_was_cut_off_leads_to_no_other():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("c1"), at(0))
    lane.on(Cancelled(KEY), at(1))
    lane.on(failed("c1", FailureKind.CANCELLED, Billing.UNKNOWN), at(2))
    assert [order.attempt for order in lane.orders] == [1]
    assert [(cost.estimated, cost.wasted) for cost in lane.costs] == [(True, True)]


def test_what_it_cost_until_then_is_told():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("c1"), at(0))
    lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(1))
    lane.on(Cancelled(KEY), at(2))
    assert lane.finals[0].cost_nanousd == lane.costs[0].cost_nanousd > 0


def test_who_asked_the_same_goes_on():
    lane = FakeLane()
    lane.on(routed(flight_key="f"), at(0))
    lane.on(routed("r2", flight_key="f"), at(0))
    assert lane.state.open["acme/r2"].state.phase is RequestPhase.FOLLOWING
    lane.on(Cancelled(KEY), at(1))
    assert [order.request_id for order in lane.orders] == ["r1", "r2"]
    lane.on(completed("c2", request_id="r2"), at(2))
    assert [(final.request_id, final.status) for final in lane.finals] == [("r1", "error"), ("r2", "ok")]


def test_a_follower_is_cancelled_alone():
    lane = FakeLane()
    lane.on(routed(flight_key="f"), at(0))
    lane.on(routed("r2", flight_key="f"), at(0))
    lane.on(Cancelled("acme/r2"), at(1))
    lane.on(completed("c1"), at(2))
    assert [(final.request_id, final.status) for final in lane.finals] == [("r2", "error"), ("r1", "ok")]


def test_once_answered_or_never_seen_it_changes_nothing():
    lane = FakeLane()
    lane.on(routed(candidates=(CHEAP,)), at(0))
    lane.on(completed("c1"), at(1))
    for key in (KEY, "acme/other"):
        decision = lane.on(Cancelled(key), at(2))
        assert (decision.changes, decision.records, decision.timers) == ([], [], [])
