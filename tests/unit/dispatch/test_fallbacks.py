"""What answers when no provider does: the operator's fallback, candidates with a use, the fleet's word, our own limits."""

from dataclasses import replace

import pytest

from processors.dispatch.events import Advised
from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, FailureKind, Output, Usage
from schemas.outcomes import CacheState, ErrorInfo, ResponseStatus
from schemas.routing import CachedAnswer, Candidate, Fallback
from schemas.state import RequestPhase
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, LARGE, SPARE, T0, asking, at, completed, failed, routed, started

TEXT = Fallback(text="sorry")
KEPT = CachedAnswer(Output("of yesterday"), "openai", CHEAP.deployment, CHEAP.model, T0, Usage(3, 4), 99, request_id="r0")


def asked(lane: FakeLane) -> list[str]:
    return [order.deployment for order in lane.orders]


def phase_of(lane: FakeLane, key: str = "acme/r1") -> RequestPhase:
    return lane.state.open[key].state.phase


class TestFallbackAnswers:
    @pytest.mark.parametrize(
        ("fallback", "content", "provider", "usage", "served_by"),
        [
            pytest.param(TEXT, "sorry", None, None, None, id="a text"),
            pytest.param(Fallback(cached=KEPT), "of yesterday", "openai", Usage(3, 4), "r0", id="an answer that was kept"),
            pytest.param(Fallback(cached=KEPT, text="sorry"), "of yesterday", "openai", Usage(3, 4), "r0", id="both"),
        ],
    )
    def test_it_says_what_it_is_and_why(self, fallback, content, provider, usage, served_by):
        lane = FakeLane(DispatchPolicy(max_attempts=1))
        lane.on(routed(fallback=fallback, cache_key="k"), at(0))
        lane.on(started("c1"), at(0))
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(1))
        (final,), (cost,) = lane.finals, lane.costs
        assert (final.status, final.final, final.output.content) == (ResponseStatus.FALLBACK, True, content)
        assert (final.error.kind, final.error.retryable) == ("timed_out", True)
        assert (final.provider, final.usage, final.served_by, final.call_id) == (provider, usage, served_by, None)
        assert (final.cache, final.attempts) == (CacheState.MISS, 1)
        assert final.cost_nanousd == cost.cost_nanousd > 0, "what the failed call costs"

    @pytest.mark.parametrize(
        "end",
        [
            pytest.param(lambda lane: lane.run_timers(at(600)), id="the deadline"),
            pytest.param(lambda lane: lane.on(failed("c1", FailureKind.EXPIRED), at(1)), id="a worker that came too late"),
        ],
    )
    def test_in_place_of_expired(self, end):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT), at(0))
        end(lane)
        assert [(final.status, final.error.kind) for final in lane.finals] == [(ResponseStatus.FALLBACK, "expired")]

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            pytest.param({"candidates": ()}, "no_candidate", id="nobody can take it"),
            pytest.param({"deadline": T0}, "expired", id="too late already"),
        ],
    )
    def test_of_a_request_that_is_never_called(self, change, kind):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT, **change), at(0))
        assert [(f.status, f.error.kind, f.cost_nanousd) for f in lane.finals] == [(ResponseStatus.FALLBACK, kind, 0)]

    @pytest.mark.parametrize("kind", [FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND])
    def test_of_failures_that_are_ours(self, kind):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT, candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", kind), at(1))
        assert [(final.status, final.error.kind) for final in lane.finals] == [(ResponseStatus.FALLBACK, kind.value)]

    @pytest.mark.parametrize("kind", [FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG])
    def test_never_of_the_requests_own_fault(self, kind):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT, candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", kind), at(1))
        assert [(f.status, f.error.kind, f.output) for f in lane.finals] == [(ResponseStatus.ERROR, kind.value, None)]

    def test_never_of_what_intake_rejects(self):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT, rejection=ErrorInfo("invalid", "no")), at(0))
        assert [final.status for final in lane.finals] == [ResponseStatus.ERROR]

    def test_never_while_a_call_may_still_succeed(self):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT), at(0))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
        assert not lane.finals
        lane.on(completed("c2", attempt=2, candidate=DEAR), at(2))
        assert [final.status for final in lane.finals] == [ResponseStatus.OK]

    def test_it_is_not_shared_each_who_follows_has_its_own(self):
        lane = FakeLane(DispatchPolicy(max_attempts=1))
        lane.on(asking(fallback=TEXT), at(0))
        lane.on(asking("r2"), at(1))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(2))
        assert [(final.request_id, final.status) for final in lane.finals] == [("r1", ResponseStatus.FALLBACK)]
        assert phase_of(lane, "acme/r2") is RequestPhase.ORDERED

    def test_sent_again_it_is_known(self):
        lane = FakeLane()
        lane.on(routed(fallback=TEXT, candidates=()), at(0))
        lane.on(routed(fallback=TEXT, candidates=()), at(1))
        assert [(r.status, r.final) for r in lane.responses] == [
            (ResponseStatus.FALLBACK, True),
            (ResponseStatus.DUPLICATE, False),
        ]
        assert "(fallback)" in lane.responses[-1].error.message


class TestUses:
    """Candidates for long inputs, and those for when no other is left."""

    @pytest.mark.parametrize("kind", [FailureKind.OVERLOADED, FailureKind.RATE_LIMITED, FailureKind.NOT_FOUND])
    def test_one_for_long_inputs_is_not_asked_for_another_reason(self, kind):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, LARGE, DEAR)), at(0))
        lane.on(failed("c1", kind), at(1))
        assert asked(lane) == [CHEAP.deployment, DEAR.deployment]

    def test_not_even_while_all_others_are_down(self):
        lane = FakeLane()
        for name in (CHEAP, DEAR):
            lane.on(Advised(name.deployment, down=True), at(0))
        lane.on(routed(candidates=(CHEAP, DEAR, LARGE)), at(0.5))
        assert asked(lane) == []
        assert phase_of(lane) is RequestPhase.PARKED

    def test_it_is_asked_once_an_input_was_too_long(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, LARGE)), at(0))
        lane.on(failed("c1", FailureKind.CONTEXT_TOO_LONG), at(1))
        assert asked(lane) == [CHEAP.deployment, LARGE.deployment]
        lane.on(completed("c2", attempt=2, candidate=LARGE), at(2))
        assert [final.status for final in lane.finals] == [ResponseStatus.OK]

    def test_it_stays_a_candidate_after_a_wait(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, LARGE)), at(0))
        lane.on(failed("c1", FailureKind.CONTEXT_TOO_LONG), at(1))
        lane.on(failed("c2", FailureKind.OVERLOADED, attempt=2, candidate=LARGE), at(2))
        lane.run_timers(at(10))
        assert asked(lane) == [CHEAP.deployment, LARGE.deployment, LARGE.deployment]

    @pytest.mark.parametrize(
        ("other", "asked_next"),
        [
            pytest.param(4_000, False, id="less"),
            pytest.param(16_000, True, id="more"),
            pytest.param(8_000, True, id="as much, counted by another tokenizer"),
            pytest.param(0, True, id="nobody knows how much"),
        ],
    )
    def test_too_long_for_one_leaves_out_all_that_take_less(self, other, asked_next):
        small, next_one = replace(CHEAP, context_tokens=8_000), replace(DEAR, context_tokens=other)
        lane = FakeLane()
        lane.on(routed(candidates=(small, next_one, LARGE)), at(0))
        lane.on(failed("c1", FailureKind.CONTEXT_TOO_LONG, candidate=small), at(1))
        assert asked(lane)[1] == (next_one if asked_next else LARGE).deployment

    def test_too_long_for_all_ends_with_that_error(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, LARGE)), at(0))
        lane.on(failed("c1", FailureKind.CONTEXT_TOO_LONG), at(1))
        lane.on(failed("c2", FailureKind.CONTEXT_TOO_LONG, attempt=2, candidate=LARGE), at(2))
        assert [final.error.kind for final in lane.finals] == ["context_too_long"]

    def test_a_hedge_that_is_too_long_leaves_the_first_to_answer(self):
        small = replace(DEAR, context_tokens=8_000)
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, small, LARGE), hedge_after_ms=1_000), at(0))
        lane.run_timers(at(1))
        lane.on(failed("c2", FailureKind.CONTEXT_TOO_LONG, attempt=2, candidate=small), at(2))
        assert len(lane.orders) == 2
        lane.on(failed("c1", FailureKind.OVERLOADED), at(3))
        assert asked(lane)[2] == LARGE.deployment

    def test_a_fallback_comes_when_every_other_has_failed(self):
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, DEAR, SPARE)), at(0))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
        assert asked(lane)[1:] == [DEAR.deployment]
        lane.on(failed("c2", FailureKind.OVERLOADED, attempt=2, candidate=DEAR), at(2))
        assert asked(lane)[2:] == [SPARE.deployment]

    def test_a_fallback_comes_when_every_other_is_down(self):
        lane = FakeLane()
        lane.on(Advised(CHEAP.deployment, down=True), at(0))
        lane.on(routed(candidates=(CHEAP, SPARE)), at(0.5))
        assert asked(lane) == [SPARE.deployment]

    def test_two_models_of_one_deployment_are_left_out_together(self):
        twin = Candidate(CHEAP.deployment, "openai", "gpt-4o", 60_000, 100)
        lane = FakeLane()
        lane.on(routed(candidates=(CHEAP, twin)), at(0))
        lane.on(failed("c1", FailureKind.UNAUTHORIZED), at(1))
        assert [final.error.kind for final in lane.finals] == ["unauthorized"]


class TestAdvice:
    def test_down_opens_the_circuit_as_our_own_failures_would(self):
        lane = FakeLane()
        lane.on(Advised(CHEAP.deployment, down=True), at(0))
        found = lane.state.circuits[CHEAP.deployment]
        assert (found.failures, found.open_until, found.interval_s) == (5, at(1), 1.0)
        lane.on(routed(), at(0.5))
        assert asked(lane) == [DEAR.deployment]

    def test_the_next_call_after_its_time_is_a_probe(self):
        lane = FakeLane()
        lane.on(Advised(CHEAP.deployment, down=True), at(0))
        lane.on(routed(), at(1))
        lane.on(routed("r2"), at(1))
        assert asked(lane) == [CHEAP.deployment, DEAR.deployment]
        assert lane.state.circuits[CHEAP.deployment].open_until == at(3)

    @pytest.mark.parametrize("times", [2, 5])
    def test_said_again_it_changes_nothing(self, times):
        lane = FakeLane()
        lane.on(Advised(CHEAP.deployment, down=True), at(0))
        for second in range(1, times):
            decision = lane.on(Advised(CHEAP.deployment, down=True), at(second))
            assert (decision.changes, decision.records, decision.timers) == ([], [], [])

    def test_back_closes_it_and_releases_who_waits(self):
        lane = FakeLane()
        lane.on(Advised(CHEAP.deployment, down=True), at(0))
        lane.on(routed(candidates=(CHEAP,)), at(0.1))
        lane.on(routed("other", candidates=(DEAR,), lane="acme"), at(0.1))
        assert asked(lane) == [DEAR.deployment]
        decision = lane.on(Advised(CHEAP.deployment, down=False), at(0.2))
        assert [(timer.due, timer.event.request_key) for timer in decision.timers] == [(at(0.2), "acme/r1")]
        lane.run_timers(at(0.2))
        assert asked(lane) == [DEAR.deployment, CHEAP.deployment]

    def test_back_of_one_that_was_never_down_changes_nothing(self):
        decision = FakeLane().on(Advised(CHEAP.deployment, down=False), at(0))
        assert (decision.changes, decision.timers) == ([], [])

    def test_a_success_of_our_own_closes_what_the_fleet_had_opened(self):
        lane = FakeLane()
        lane.on(routed(), at(0))
        lane.on(Advised(CHEAP.deployment, down=True), at(1))
        lane.on(completed("c1"), at(2))
        assert lane.state.circuits[CHEAP.deployment].open_until is None


class TestOwnLimit:
    def limited(self, **changes) -> FakeLane:
        lane = FakeLane(changes.pop("policy", None))
        lane.on(routed(**changes), at(0))
        lane.on(failed("c1", FailureKind.LIMITED, retry_after_s=5), at(1))
        return lane

    def test_the_next_candidate_is_asked_at_once(self):
        assert asked(self.limited()) == [CHEAP.deployment, DEAR.deployment]

    def test_alone_it_waits_for_what_the_limit_says(self):
        lane = self.limited(candidates=(CHEAP,))
        lane.run_timers(at(5.9))
        assert len(lane.orders) == 1
        lane.run_timers(at(7))
        assert len(lane.orders) == 2

    def test_it_is_no_attempt_and_leaves_no_line(self):
        lane = self.limited(candidates=(CHEAP,), policy=DispatchPolicy(max_attempts=1))
        assert (lane.state.open["acme/r1"].state.sent, lane.finals, lane.costs) == (0, [], [])

    def test_it_tells_nothing_of_the_deployment(self):
        lane = FakeLane(DispatchPolicy(circuit_failures=2))
        lane.on(routed(candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(1))
        before = lane.state.circuits[CHEAP.deployment]
        lane.run_timers(at(5))
        lane.on(failed("c2", FailureKind.LIMITED, attempt=2), at(6))
        assert lane.state.circuits[CHEAP.deployment] == before

    def test_at_the_deadline_the_sender_learns_of_it(self):
        lane = self.limited(candidates=(CHEAP,), deadline=at(3))
        lane.run_timers(at(3))
        (final,) = lane.finals
        assert (final.status, final.error.retryable) == (ResponseStatus.EXPIRED, True)
