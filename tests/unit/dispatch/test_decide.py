"""The dispatcher's transitions, one promise each."""

import pytest

from processors.dispatch.decide import DUE, ROUTED, timers_of
from processors.dispatch.events import CallDue, RequestDue, Sweep
from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, FailureKind, Output, Usage
from schemas.ledger import CostKind, PricingStatus
from schemas.outcomes import CacheState, ErrorInfo, ResponseStatus
from schemas.routing import CachedAnswer
from schemas.state import RequestPhase
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, T0, at, completed, failed, routed, started


def phase_of(lane, key="acme/r1"):
    return lane.state.open[key].state.phase if key in lane.state.open else None


def test_every_phase_has_its_transitions():
    assert set(ROUTED) == {None, *RequestPhase} - {RequestPhase.UNKNOWN}
    assert set(DUE) == set(RequestPhase) - {RequestPhase.UNKNOWN, RequestPhase.FINISHED}


def test_the_straight_way():
    lane = FakeLane()
    lane.on(routed(), at(0))
    (order,) = lane.orders
    assert (order.deployment, order.attempt, order.request) == (CHEAP.deployment, 1, b"framed")
    lane.on(started("c1"), at(1))
    assert lane.costs == []
    lane.on(completed("c1"), at(2))
    (final,), (cost,) = lane.finals, lane.costs
    assert (final.status, final.output.content, final.call_id, final.attempts) == (ResponseStatus.OK, "Hello", "c1", 1)
    # gpt-4o-mini: $0.15 and $0.60 a million tokens.
    assert cost.cost_nanousd == 10 * 150 + 5 * 600 == final.cost_nanousd
    assert (cost.kind, cost.wasted, cost.estimated) == (CostKind.CALL, False, False)
    assert not lane.state.open
    assert not lane.state.calls
    assert next(iter(lane.state.totals.values())).cost_nanousd == cost.cost_nanousd


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        pytest.param({"rejection": ErrorInfo("invalid", "no")}, ResponseStatus.ERROR, "invalid", id="rejected by intake"),
        pytest.param({"candidates": ()}, ResponseStatus.ERROR, "no_candidate", id="nobody can take it"),
        pytest.param({"deadline": T0}, ResponseStatus.EXPIRED, "expired", id="too late already"),
    ],
)
def test_a_request_that_is_never_called_gets_its_final_at_once(change, status, kind):
    lane = FakeLane()
    lane.on(routed(**change), at(0))
    assert [(final.status, final.error.kind, final.cost_nanousd) for final in lane.finals] == [(status, kind, 0)]
    assert not lane.orders


def test_a_cached_answer_costs_nothing_and_says_what_it_saved():
    lane = FakeLane()
    cached = CachedAnswer(Output("Cached"), "openai", CHEAP.deployment, CHEAP.model, T0, Usage(10, 5), cost_nanousd=4500)
    lane.on(routed(cached=cached, cache_key="k"), at(0))
    (final,), (cost,) = lane.finals, lane.costs
    assert (final.output.content, final.cache, final.cost_nanousd) == ("Cached", CacheState.HIT, 0)
    assert (cost.kind, cost.cost_nanousd, cost.avoided_nanousd, cost.call_id) == (CostKind.CACHE_HIT, 0, 4500, None)


class TestSentAgain:
    def test_while_open_the_same_body_changes_nothing(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        decision = lane.on(routed(), at(1))
        assert (decision.changes, decision.records) == ([], [])

    def test_another_body_is_a_conflict_open_or_finished(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(routed(body_digest=b"e" * 32), at(1))
        lane.on(started("c1"), at(1))
        lane.on(completed("c1"), at(2))
        lane.on(routed(body_digest=b"e" * 32), at(3))
        assert [(r.status, r.final) for r in lane.responses] == [
            (ResponseStatus.CONFLICT, False),
            (ResponseStatus.OK, True),
            (ResponseStatus.CONFLICT, False),
        ]

    def test_once_finished_the_notice_says_where_the_final_stands(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(completed("c1"), at(2))
        lane.on(routed(), at(9))
        assert (lane.responses[-1].status, lane.responses[-1].final) == (ResponseStatus.DUPLICATE, False)
        assert at(2).isoformat() in lane.responses[-1].error.message
        assert len(lane.orders) == 1

    def test_the_id_of_another_tenant_is_another_request(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(routed(tenant="other", body_digest=b"e" * 32), at(0))
        assert len(lane.orders) == 2
        assert not lane.responses

    def test_after_the_horizon_it_is_forgotten_and_called_again(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(completed("c1"), at(2))
        lane.on(Sweep(10), at(86_402 - 1))
        assert lane.state.finished
        lane.on(Sweep(10), at(86_402))
        assert not lane.state.finished


class TestFailure:
    @pytest.mark.parametrize(
        "kind", [FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.SERVER_ERROR, FailureKind.UNREACHABLE]
    )
    def test_the_next_candidate_is_ordered_in_the_same_decision(self, kind):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(failed("c1", kind), at(2))
        assert [(o.deployment, o.attempt, o.ordered_at) for o in lane.orders] == [
            (CHEAP.deployment, 1, at(0)),
            (DEAR.deployment, 2, at(2)),
        ]
        (cost,) = lane.costs
        assert (cost.cost_nanousd, cost.pricing_status, cost.wasted) == (0, PricingStatus.NOT_BILLED, False)

    def test_with_every_candidate_tried_it_parks_for_the_backoff_and_starts_over(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
        lane.on(failed("c2", FailureKind.OVERLOADED, attempt=2, candidate=DEAR), at(1))
        assert phase_of(lane) is RequestPhase.PARKED
        lane.run_timers(at(2.1))
        assert [o.deployment for o in lane.orders] == [CHEAP.deployment, DEAR.deployment, CHEAP.deployment]

    def test_retry_after_is_waited_for(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=20), at(1))
        lane.run_timers(at(20.9))
        assert len(lane.orders) == 1
        lane.run_timers(at(21.6))
        assert len(lane.orders) == 2

    def test_each_candidate_is_waited_for_as_it_asked_and_no_other(self):
        """The dear one asks for half a minute, the cheap one fails after it without a word: only the cheap one is tried soon."""
        lane = FakeLane()
        lane.on(routed(candidates=(DEAR, CHEAP)), at(0))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, attempt=1, candidate=DEAR, retry_after_s=30), at(1))
        lane.on(failed("c2", FailureKind.OVERLOADED, attempt=2), at(2))
        lane.run_timers(at(10))
        (soon,) = lane.orders[2:]
        assert soon.deployment == CHEAP.deployment
        lane.on(failed("c3", FailureKind.OVERLOADED, attempt=3), at(10))
        lane.run_timers(at(29))
        assert {order.deployment for order in lane.orders[3:]} <= {CHEAP.deployment}

    def test_the_shortest_wait_of_all_candidates_counts(self):
        lane = FakeLane()
        lane.on(routed(candidates=(DEAR, CHEAP)), at(0))
        lane.on(failed("c1", FailureKind.LIMITED, attempt=1, candidate=DEAR, retry_after_s=2), at(1))
        lane.on(failed("c2", FailureKind.LIMITED, attempt=2, retry_after_s=25), at(1))
        lane.run_timers(at(6))
        assert [order.deployment for order in lane.orders[2:]] == [DEAR.deployment]

    @pytest.mark.parametrize(("asked_s", "latest_s"), [(-1, 1.6), (1e9, 121.6), (float("nan"), 1.6)])
    def test_an_absurd_retry_after_is_made_sane(self, asked_s, latest_s):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=asked_s), at(1))
        lane.run_timers(at(latest_s))
        assert len(lane.orders) == 2

    @pytest.mark.parametrize("kind", [FailureKind.REJECTED])
    def test_what_no_call_can_save_ends_at_once(self, kind):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(failed("c1", kind), at(2))
        assert [(f.status, f.error.kind) for f in lane.finals] == [(ResponseStatus.ERROR, kind.value)]

    @pytest.mark.parametrize("kind", [FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND, FailureKind.CONTEXT_TOO_LONG])
    def test_a_candidate_that_never_can_is_not_asked_again(self, kind):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(failed("c1", kind), at(1))
        lane.on(failed("c2", FailureKind.OVERLOADED, attempt=2, candidate=DEAR), at(2))
        lane.run_timers(at(4))
        assert [o.deployment for o in lane.orders] == [CHEAP.deployment, DEAR.deployment, DEAR.deployment]
        lane.on(failed("c3", kind, attempt=3, candidate=DEAR), at(5))
        assert [f.error.kind for f in lane.finals] == [kind.value]

    def test_the_cap_counts_calls_that_were_sent_and_those_alone(self):
        lane = FakeLane(DispatchPolicy(max_attempts=2, circuit_failures=99))
        lane.on(routed(candidates=(CHEAP,)), at(0))
        now = 1.0
        for attempt in range(1, 6):
            lane.on(failed(f"u{attempt}", FailureKind.UNREACHABLE, attempt=attempt), at(now))
            now += 40
            lane.run_timers(at(now))
        assert not lane.finals
        lane.on(failed("s1", FailureKind.OVERLOADED, attempt=6), at(now))
        lane.run_timers(at(now + 40))
        lane.on(failed("s2", FailureKind.OVERLOADED, attempt=7), at(now + 41))
        assert [f.error.kind for f in lane.finals] == ["overloaded"]

    def test_indeterminate_is_charged_by_the_bounds_and_retried_only_if_allowed(self):
        for allowed, orders in ((True, 2), (False, 1)):
            lane = FakeLane(DispatchPolicy(retry_indeterminate=allowed))
            lane.on(routed(), at(0))
            lane.on(started("c1"), at(1))
            lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(61))
            (cost,) = lane.costs
            assert (cost.estimated, cost.wasted, cost.cost_nanousd) == (True, True, 10 * 150 + 100 * 600)
            assert len(lane.orders) == orders
            assert len(lane.finals) == (0 if allowed else 1)

    def test_a_late_failure_of_an_earlier_attempt_moves_the_money_alone(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(0))
        lane.on(failed("c0", FailureKind.OVERLOADED), at(1))  # a redelivered order: c1 still runs
        assert len(lane.orders) == 1
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(2))
        assert len(lane.orders) == 2
        lane.on(failed("late", FailureKind.OVERLOADED), at(3))
        assert len(lane.orders) == 2


class TestCalls:
    def test_the_first_success_answers_and_the_second_is_wasted(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(started("c2"), at(2))
        lane.on(completed("c2"), at(3))
        lane.on(completed("c1"), at(4))
        assert [f.call_id for f in lane.finals] == ["c2"]
        assert [(c.call_id, c.wasted) for c in lane.costs] == [("c2", False), ("c1", True)]

    def test_the_success_of_an_earlier_attempt_answers_too(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(2))
        lane.on(completed("c1"), at(3))
        assert [f.status for f in lane.finals] == [ResponseStatus.OK]
        assert len(lane.costs) == 1

    def test_a_lost_call_is_charged_once_and_its_late_result_makes_an_actual_of_the_estimate(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.on(CallDue("c1"), at(69))
        assert not lane.costs
        lane.run_timers(at(71))
        (cost,) = lane.costs
        assert (cost.estimated, cost.wasted) == (True, True)
        assert phase_of(lane) is RequestPhase.ORDERED, "its order comes again by itself"
        lane.on(completed("c1"), at(72))
        (_, correction) = lane.costs
        assert (correction.event_id, correction.kind, correction.replaces_estimate) == ("c1/adjusted/1", CostKind.ADJUSTED, True)
        (total,) = lane.state.totals.values()
        assert (total.calls, total.estimated_calls, total.input_tokens, total.output_tokens) == (1, 0, 10, 5)
        (final,) = lane.finals
        assert (final.status, final.cost_nanousd, final.usage) == (ResponseStatus.OK, total.cost_nanousd, Usage(10, 5))
        lane.on(completed("c1"), at(73))
        assert len(lane.costs) == 2, "once"

    def test_a_lost_call_that_was_not_billed_after_all_costs_nothing(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.run_timers(at(71))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, billing=Billing.NOT_BILLED), at(72))
        (total,) = lane.state.totals.values()
        assert (total.calls, total.estimated_calls, total.cost_nanousd, total.output_tokens) == (1, 0, 0, 0)

    def test_a_lost_call_whose_end_tells_no_usage_stays_an_estimate(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1"), at(1))
        lane.run_timers(at(71))
        lane.on(completed("c1", usage=None), at(72))
        assert len(lane.costs) == 1
        assert [f.status for f in lane.finals] == [ResponseStatus.OK]

    @pytest.mark.parametrize(
        ("reported_at", "folded_at", "lost_at"),
        [
            pytest.param(0, 0, 70, id="clocks agree"),
            pytest.param(0, 600, 670, id="the worker is ten minutes behind"),
            pytest.param(600, 0, 670, id="the worker is ten minutes ahead"),
        ],
    )
    def test_a_call_is_not_lost_too_soon_because_two_clocks_differ(self, reported_at, folded_at, lost_at):
        lane = FakeLane()
        lane.on(routed(deadline=at(5_000)), at(folded_at))
        lane.on(started("c1", reported_at=at(reported_at), lost_at=at(reported_at + 70)), at(folded_at))
        assert lane.state.calls["c1"].lost_at == at(lost_at)

    def test_a_failed_order_waits_for_its_lost_twin_and_then_moves_on(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP,)), at(0))
        lane.on(started("zombie"), at(0))
        lane.on(started("c2"), at(10))
        lane.on(failed("c2", FailureKind.OVERLOADED), at(11))
        assert phase_of(lane) is RequestPhase.ORDERED
        lane.run_timers(at(75))
        lane.run_timers(at(77))
        assert len(lane.orders) == 2

    def test_a_report_twice_charges_once(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        for report in (started("c1"), started("c1"), completed("c1"), completed("c1"), failed("c1", FailureKind.REJECTED)):
            lane.on(report, at(1))
        assert len(lane.costs) == len(lane.finals) == 1

    def test_zero_usage_stays_zero_and_missing_usage_is_estimated(self):
        lane = FakeLane()
        for name, usage in (("zero", Usage(0, 0)), ("missing", None)):
            lane.on(routed(name), at(0))
            lane.on(started(name, request_id=name), at(0))
            lane.on(completed(name, request_id=name, usage=usage), at(1))
        assert [(c.cost_nanousd, c.estimated) for c in lane.costs] == [(0, False), (10 * 150 + 100 * 600, True)]

    def test_an_unknown_price_is_null_and_never_zero(self):
        lane = FakeLane()
        unknown = type(CHEAP)("x/y", "nobody", "no-such-model", 1000, 100)
        lane.on(routed(candidates=(unknown,)), at(0))
        lane.on(started("c1", candidate=unknown), at(0))
        lane.on(completed("c1", candidate=unknown), at(1))
        assert (lane.costs[0].cost_nanousd, lane.costs[0].pricing_status) == (None, PricingStatus.UNKNOWN)
        assert (lane.finals[0].cost_nanousd, lane.finals[0].pricing_status) == (None, PricingStatus.UNKNOWN)
        assert next(iter(lane.state.totals.values())).unpriced_calls == 1


class TestDeadline:
    def test_an_ordered_request_expires_at_its_deadline(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(started("c1", lost_at=at(700)), at(1))
        lane.run_timers(at(599))
        assert not lane.finals
        lane.run_timers(at(600))
        assert [f.status for f in lane.finals] == [ResponseStatus.EXPIRED]
        lane.on(completed("c1"), at(601))
        assert len(lane.finals) == 1
        assert lane.costs[0].wasted

    def test_a_parked_request_never_waits_beyond_it(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP,), deadline=at(30)), at(0))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=100), at(1))
        lane.run_timers(at(30))
        assert [f.status for f in lane.finals] == [ResponseStatus.EXPIRED]

    def test_the_worker_says_that_it_came_too_late(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(failed("c1", FailureKind.EXPIRED), at(599))
        assert [f.status for f in lane.finals] == [ResponseStatus.EXPIRED]
        assert not lane.costs

    def test_a_timer_that_comes_early_sets_itself_again(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        decision = lane.on(RequestDue("acme/r1"), at(5))
        assert [timer.due for timer in decision.timers] == [at(600)]


class TestOutage:
    """All providers down: few probes, nothing lost, everything released when one answers."""

    def down(self, requests: int = 50) -> FakeLane:
        lane = FakeLane()
        for n in range(requests):
            lane.on(routed(f"r{n}", candidates=(CHEAP,)), at(0))
        for n in range(requests):
            lane.on(started(f"c{n}", request_id=f"r{n}"), at(0))
            lane.on(failed(f"c{n}", FailureKind.OVERLOADED, request_id=f"r{n}"), at(0.5))
        return lane

    def test_requests_wait_and_calls_stay_below_the_probe_rate(self):
        lane = self.down()
        before = len(lane.orders)
        for second in range(1, 61):
            lane.run_timers(at(second))
            for order in lane.orders[before:]:
                if order.ordered_at == at(second):
                    lane.on(
                        failed(f"p{second}", FailureKind.OVERLOADED, request_id=order.request_id, attempt=order.attempt),
                        at(second),
                    )
        probes = len(lane.orders) - before
        assert 5 <= probes <= 10, "1 + 2 + 4 + 8 + 10 + 10 … seconds apart"
        assert not lane.finals

    def test_a_new_request_parks_without_spending_an_attempt(self):
        lane = self.down()
        orders = len(lane.orders)
        lane.on(routed("late", candidates=(CHEAP,)), at(0.6))
        assert len(lane.orders) == orders
        assert lane.state.open["acme/late"].state.attempt == 0

    def test_the_first_answer_releases_everybody(self):
        lane = self.down()
        lane.run_timers(at(1.6))
        probe = lane.orders[-1]
        lane.on(started("probe", request_id=probe.request_id, attempt=probe.attempt), at(1.6))
        lane.on(completed("probe", request_id=probe.request_id, attempt=probe.attempt), at(1.7))
        lane.run_timers(at(1.7))
        assert {o.request_id for o in lane.orders if o.attempt == 2} == {f"r{n}" for n in range(50)}

    def test_a_release_does_not_shorten_what_a_provider_asked_for(self):
        lane = self.down(5)
        lane.on(routed("limited", candidates=(CHEAP, DEAR)), at(1))
        lane.on(failed("d1", FailureKind.RATE_LIMITED, request_id="limited", attempt=1, candidate=DEAR, retry_after_s=50), at(1))
        lane.run_timers(at(1.6))
        probe = next(o for o in reversed(lane.orders) if o.deployment == CHEAP.deployment)
        lane.on(completed("probe", request_id=probe.request_id, attempt=probe.attempt), at(1.7))
        lane.run_timers(at(2))
        again = [o.deployment for o in lane.orders if o.request_id == "limited" and o.ordered_at > at(1.9)]
        assert DEAR.deployment not in again

    def test_a_lone_request_rides_out_an_outage_of_a_minute(self):
        lane, answered = FakeLane(), 0
        lane.on(routed(candidates=(CHEAP,)), at(0))
        for tenth in range(6_000):
            now = at(tenth / 10)
            lane.run_timers(now)
            for order in lane.orders[answered:]:
                answered += 1
                about = {"attempt": order.attempt, "request_id": order.request_id}
                if tenth < 600:
                    lane.on(failed(f"c{order.attempt}", FailureKind.OVERLOADED, **about), now)
                else:
                    lane.on(completed(f"c{order.attempt}", **about), now)
        assert [final.status for final in lane.finals] == [ResponseStatus.OK]
        assert len(lane.orders) <= 8

    def test_one_deployment_down_others_carry_on(self):
        lane = self.down()
        lane.on(routed("both"), at(1))
        assert lane.orders[-1].deployment == DEAR.deployment


def test_a_restored_state_sets_its_timers_again():
    lane = FakeLane()
    lane.on(routed("a"), at(0))
    lane.on(started("c1", request_id="a"), at(0))
    lane.on(routed("b", candidates=(CHEAP,)), at(0))
    lane.on(failed("c2", FailureKind.RATE_LIMITED, request_id="b", retry_after_s=20), at(1))
    dues = {type(t.event).__name__ + str(getattr(t.event, "request_key", "")): t.due for t in timers_of(lane.state)}
    assert dues["RequestDueacme/a"] == at(600)
    assert at(21) <= dues["RequestDueacme/b"] <= at(22)
    assert dues["CallDue"] == at(70)
