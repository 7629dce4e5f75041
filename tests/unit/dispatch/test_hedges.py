"""A second call beside one that takes long: the first success wins, and neither failure is the end while the other lives."""

import pytest

from processors.dispatch.decide import timers_of
from processors.dispatch.events import Advised, CallDue, RequestDue
from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, FailureKind
from schemas.outcomes import ResponseStatus
from schemas.state import Awaited, RequestPhase
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, LARGE, SPARE, at, completed, failed, routed, started

SECOND = {"attempt": 2, "candidate": DEAR}


def ordered(**changes) -> FakeLane:
    """r1 is called, and is to be hedged after two seconds."""
    lane = FakeLane(changes.pop("policy", None))
    lane.on(routed(**({"hedge_after_ms": 2_000} | changes)), at(0))
    lane.on(started("c1", lost_at=at(500)), at(0.1))
    return lane


def hedged(**changes) -> FakeLane:
    lane = ordered(**changes)
    lane.run_timers(at(2))
    lane.on(started("c2", lost_at=at(500), **SECOND), at(2.1))
    return lane


def asked(lane: FakeLane) -> list[tuple[str, bool]]:
    return [(order.deployment, order.hedge) for order in lane.orders]


def state_of(lane: FakeLane):
    return lane.state.open["acme/r1"].state


class TestWhen:
    def test_not_before_its_time_and_then_once(self):
        lane = ordered()
        lane.run_timers(at(1.999))
        assert asked(lane) == [(CHEAP.deployment, False)]
        lane.run_timers(at(2))
        assert asked(lane) == [(CHEAP.deployment, False), (DEAR.deployment, True)]
        assert state_of(lane).awaited == (Awaited(1, 0), Awaited(2, 1))
        lane.run_timers(at(500))
        assert len(lane.orders) == 2

    def test_the_hedge_says_all_that_an_order_says(self):
        (first, second) = hedged().orders
        assert (second.attempt, second.ordered_at, second.deadline, second.request) == (2, at(2), first.deadline, b"framed")

    def test_a_timer_that_comes_early_sets_itself_again(self):
        lane = ordered()
        assert [timer.due for timer in lane.on(RequestDue("acme/r1"), at(1)).timers] == [at(2)]

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"hedge_after_ms": None}, id="nobody asked for it"),
            pytest.param({"deadline": at(2)}, id="the deadline comes first"),
            pytest.param({"candidates": (CHEAP,)}, id="there is no other candidate"),
            pytest.param({"candidates": (CHEAP, LARGE)}, id="the other is for long inputs"),
            pytest.param({"policy": DispatchPolicy(max_attempts=1)}, id="no attempt is left for it"),
        ],
    )
    def test_no_hedge_when(self, change):
        lane = ordered(**change)
        lane.run_timers(at(3))
        assert len(lane.orders) == 1

    def test_no_hedge_to_a_deployment_that_is_down(self):
        lane = ordered()
        lane.on(Advised(DEAR.deployment, down=True), at(0.5))
        lane.run_timers(at(3))
        assert asked(lane) == [(CHEAP.deployment, False)]
        assert state_of(lane).hedge_at is None

    def test_no_hedge_once_the_first_has_failed_and_another_was_ordered(self):
        lane = ordered(candidates=(CHEAP, DEAR, SPARE))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
        lane.run_timers(at(3))
        assert asked(lane) == [(CHEAP.deployment, False), (DEAR.deployment, False)]

    def test_no_hedge_of_a_parked_request(self):
        lane = ordered(candidates=(CHEAP,))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=50), at(1))
        lane.run_timers(at(10))
        assert len(lane.orders) == 1
        assert state_of(lane).phase is RequestPhase.PARKED

    def test_a_request_without_a_hedge_still_expires_at_its_deadline(self):
        lane = ordered(candidates=(CHEAP,), deadline=at(10))
        lane.run_timers(at(10))
        assert [final.status for final in lane.finals] == [ResponseStatus.EXPIRED]

    @pytest.mark.parametrize(
        ("lane", "due"),
        [pytest.param(ordered(), at(2), id="not yet hedged"), pytest.param(hedged(), at(600), id="hedged")],
    )
    def test_a_restored_state_sets_the_timer_again(self, lane, due):
        assert due in {timer.due for timer in timers_of(lane.state) if timer.event == RequestDue("acme/r1")}

    def test_after_an_outage_past_both_times_the_request_expires_and_is_not_hedged(self):
        lane = ordered(deadline=at(10))
        lane.run_timers(at(11))
        assert len(lane.orders) == 1
        assert [final.status for final in lane.finals] == [ResponseStatus.EXPIRED]


class TestFirstSuccessWins:
    @pytest.mark.parametrize(
        ("winner", "loser"),
        [
            pytest.param(("c1", {}), ("c2", SECOND), id="the first call"),
            pytest.param(("c2", SECOND), ("c1", {}), id="the hedge"),
        ],
    )
    def test_the_other_is_paid_for_nothing(self, winner, loser):
        lane = hedged()
        lane.on(completed(winner[0], **winner[1]), at(3))
        lane.on(completed(loser[0], **loser[1]), at(4))
        assert [(final.status, final.call_id, final.attempts) for final in lane.finals] == [(ResponseStatus.OK, winner[0], 2)]
        assert [(cost.call_id, cost.wasted) for cost in lane.costs] == [(winner[0], False), (loser[0], True)]
        assert not lane.state.calls

    def test_it_wins_after_the_other_has_failed(self):
        lane = hedged()
        lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        lane.on(completed("c2", **SECOND), at(4))
        assert [(final.status, final.call_id) for final in lane.finals] == [(ResponseStatus.OK, "c2")]
        assert len(lane.orders) == 2


class TestFailure:
    @pytest.mark.parametrize("kind", [FailureKind.OVERLOADED, FailureKind.TIMED_OUT, FailureKind.REJECTED, FailureKind.NOT_FOUND])
    @pytest.mark.parametrize(
        ("call", "about", "left"), [("c1", {}, Awaited(2, 1)), ("c2", SECOND, Awaited(1, 0))], ids=["first", "hedge"]
    )
    def test_of_one_moves_nothing_while_the_other_lives(self, kind, call, about, left):
        lane = hedged()
        lane.on(failed(call, kind, **about), at(3))
        assert (len(lane.orders), lane.finals) == (2, [])
        assert (state_of(lane).phase, state_of(lane).awaited) == (RequestPhase.ORDERED, (left,))

    def test_of_one_does_not_even_when_the_hedge_was_not_started(self):
        lane = ordered()
        lane.run_timers(at(2))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        assert (len(lane.orders), lane.finals) == (2, [])

    def test_of_both_moves_on_to_who_was_not_asked(self):
        third = SPARE
        lane = hedged(candidates=(CHEAP, DEAR, third))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(4))
        assert asked(lane) == [(CHEAP.deployment, False), (DEAR.deployment, True), (third.deployment, False)]

    def test_of_both_parks_when_all_were_asked(self):
        lane = hedged()
        lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(3))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(4))
        assert (state_of(lane).phase, state_of(lane).awaited, state_of(lane).tried) == (RequestPhase.PARKED, (), ())

    def test_both_count_against_the_cap(self):
        lane = hedged(policy=DispatchPolicy(max_attempts=2))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(4))
        assert [(final.status, final.attempts) for final in lane.finals] == [(ResponseStatus.ERROR, 2)]
        assert len(lane.orders) == 2

    def test_what_was_never_sent_leaves_room_under_the_cap(self):
        lane = hedged(policy=DispatchPolicy(max_attempts=2))
        lane.on(failed("c1", FailureKind.UNREACHABLE), at(3))
        lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(4))
        assert state_of(lane).sent == 1
        assert not lane.finals

    def test_told_twice_counts_once(self):
        lane = hedged()
        for _ in range(2):
            lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        assert (state_of(lane).sent, state_of(lane).awaited) == (1, (Awaited(2, 1),))

    def test_a_lost_call_is_charged_and_its_order_is_still_awaited(self):
        lane = hedged()
        lane.on(CallDue("c1"), at(501))
        assert state_of(lane).awaited == (Awaited(1, 0), Awaited(2, 1))
        assert (state_of(lane).sent, len(lane.costs)) == (1, 1)
        lane.on(failed("c2", FailureKind.OVERLOADED, **SECOND), at(502))
        assert len(lane.orders) == 2, "the first order comes again by itself"

    def test_both_are_charged_whoever_wins(self):
        lane = hedged()
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(3))
        lane.on(completed("c2", **SECOND), at(4))
        (final,) = lane.finals
        assert final.cost_nanousd == sum(cost.cost_nanousd for cost in lane.costs)
        assert [cost.wasted for cost in lane.costs] == [True, False]

    def test_at_the_deadline_it_expires_whatever_is_awaited(self):
        lane = hedged(deadline=at(10))
        lane.run_timers(at(10))
        assert [final.status for final in lane.finals] == [ResponseStatus.EXPIRED]
        lane.on(completed("c1"), at(11))
        lane.on(completed("c2", **SECOND), at(12))
        assert [cost.wasted for cost in lane.costs] == [True, True]
        assert len(lane.finals) == 1
