"""Requests that ask the same share one call."""

from dataclasses import replace

import pytest

from processors.cost import totals
from processors.dispatch import flights
from processors.dispatch.decide import timers_of
from processors.dispatch.events import Advised
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import LaneState, PutRequest
from schemas.calls import Billing, FailureKind, Output, ToolCall, Usage
from schemas.ledger import CostKind, PricingStatus
from schemas.outcomes import CacheState, ErrorInfo, ResponseStatus
from schemas.requests import Operation
from schemas.routing import CachedAnswer
from schemas.serde import Serde
from schemas.state import RequestPhase
from streams.dispatcher.changelog import Changelog
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, T0, asking, at, completed, failed, started


def a_flight(*followers: str, lane: FakeLane | None = None, **changes) -> FakeLane:
    """r1 has ordered a call; the others came a second later and follow it."""
    lane = lane or FakeLane()
    lane.on(asking(**changes), at(0))
    for name in followers:
        lane.on(asking(name, **changes), at(1))
    lane.on(started("c1"), at(1))
    return lane


def phases(lane: FakeLane) -> dict[str, RequestPhase]:
    return {found.state.request_id: found.state.phase for found in lane.state.open.values()}


def statuses(lane: FakeLane) -> list[tuple[str, ResponseStatus]]:
    return [(final.request_id, final.status) for final in lane.finals]


class TestWhoFollows:
    def test_those_who_ask_the_same_wait_and_order_nothing(self):
        lane = a_flight("r2", "r3")
        assert len(lane.orders) == 1
        assert phases(lane) == {"r1": RequestPhase.ORDERED, "r2": RequestPhase.FOLLOWING, "r3": RequestPhase.FOLLOWING}

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"flight_key": "acme:auto:ho"}, id="another question"),
            pytest.param({"flight_key": None}, id="one that shares with nobody"),
        ],
    )
    def test_who_asks_something_else_orders_its_own(self, change):
        lane = a_flight()
        lane.on(asking("r2", **change), at(1))
        assert [order.request_id for order in lane.orders] == ["r1", "r2"]

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            pytest.param({"rejection": ErrorInfo("invalid", "no")}, ResponseStatus.ERROR, id="rejected"),
            pytest.param({"deadline": at(1)}, ResponseStatus.EXPIRED, id="too late already"),
            pytest.param({"candidates": ()}, ResponseStatus.ERROR, id="nobody can take it"),
            pytest.param({"cached": CachedAnswer(Output("Kept"), "openai", "d", "m", T0)}, ResponseStatus.OK, id="cached"),
        ],
    )
    def test_who_has_an_end_already_does_not_wait_for_another(self, change, status):
        lane = a_flight()
        lane.on(asking("r2", **change), at(1))
        assert statuses(lane) == [("r2", status)]

    def test_a_parked_leader_is_followed_too(self):
        lane = FakeLane()
        lane.on(asking(candidates=(CHEAP,)), at(0))
        lane.on(failed("c1", FailureKind.RATE_LIMITED, retry_after_s=50), at(1))
        lane.on(asking("r2", candidates=(CHEAP,)), at(2))
        assert phases(lane) == {"r1": RequestPhase.PARKED, "r2": RequestPhase.FOLLOWING}
        assert len(lane.orders) == 1

    def test_after_the_answer_the_next_one_leads_again(self):
        lane = a_flight()
        lane.on(completed("c1"), at(2))
        lane.on(asking("r2"), at(3))
        assert [order.request_id for order in lane.orders] == ["r1", "r2"]
        (flight,) = lane.state.flights.values()
        assert (flight.leader, flight.followers) == ("acme/r2", {})

    def test_a_follower_sent_again_changes_nothing_and_another_body_is_a_conflict(self):
        lane = a_flight("r2")
        again = lane.on(asking("r2"), at(2))
        assert (again.changes, again.records) == ([], [])
        lane.on(asking("r2", body_digest=b"e" * 32), at(2))
        assert [(r.request_id, r.status, r.final) for r in lane.responses] == [("r2", ResponseStatus.CONFLICT, False)]


class TestTheAnswer:
    def test_each_gets_its_own_final_in_the_same_decision(self):
        lane = a_flight("r2", "r3", user="ann", metadata={"k": "v"})
        decision = lane.on(completed("c1"), at(2))
        assert [change.key for change in decision.changes if isinstance(change, PutRequest)] == ["acme/r1", "acme/r2", "acme/r3"]
        lead, *others = lane.finals
        assert (lead.cache, lead.served_by, lead.attempts, lead.call_id) == (CacheState.MISS, None, 1, "c1")
        for name, final in zip(("r2", "r3"), others, strict=True):
            assert (final.request_id, final.status, final.final) == (name, ResponseStatus.OK, True)
            assert (final.cache, final.served_by, final.call_id, final.attempts) == (CacheState.SHARED, "r1", None, 0)
            assert (final.output, final.usage, final.deployment) == (lead.output, lead.usage, CHEAP.deployment)
            assert (final.cost_nanousd, final.pricing_status) == (0, PricingStatus.NOT_BILLED)
            assert (final.user, final.metadata) == ("ann", {"k": "v"})
        assert not lane.state.open
        assert not lane.state.flights

    def test_each_leaves_a_line_of_0_that_says_who_paid(self):
        lane = a_flight("r2", "r3")
        lane.on(completed("c1"), at(2))
        call, *hits = lane.costs
        assert call.kind is CostKind.CALL
        assert [(h.kind, h.request_id, h.served_by, h.cost_nanousd, h.avoided_nanousd, h.call_id) for h in hits] == [
            (CostKind.CACHE_HIT, name, "r1", 0, call.cost_nanousd, None) for name in ("r2", "r3")
        ]

    def test_the_total_counts_every_line_of_the_decision(self):
        lane = a_flight("r2", "r3", "r4")
        lane.on(completed("c1"), at(2))
        fold = None
        for cost in lane.costs:
            fold = totals.add(fold, cost, now=at(2))
        assert list(lane.state.totals.values()) == [fold]
        assert (fold.calls, fold.cache_hits, fold.avoided_nanousd) == (1, 3, 3 * fold.cost_nanousd)

    def test_what_the_leader_spent_on_failures_is_avoided_too(self):
        lane = a_flight("r2")
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(2))
        lane.on(started("c2", attempt=2, candidate=DEAR), at(2))
        lane.on(completed("c2", attempt=2, candidate=DEAR), at(3))
        lead, other = lane.finals
        assert lane.costs[-1].avoided_nanousd == lead.cost_nanousd == sum(cost.cost_nanousd for cost in lane.costs[:2])
        assert (other.deployment, lane.costs[-1].deployment) == (DEAR.deployment, DEAR.deployment)

    def test_the_follower_keeps_its_own_lane_hour_and_arm(self):
        lane = a_flight()
        lane.on(asking("r2", lane="acme#2", arm="b", received_at=at(-3_600)), at(1))
        lane.on(completed("c1"), at(2))
        assert (lane.costs[-1].lane, lane.costs[-1].arm, lane.costs[-1].occurred_at) == ("acme#2", "b", at(-3_600))
        assert lane.finals[-1].arm == "b"

    def test_the_late_success_of_an_earlier_attempt_is_shared(self):
        lane = a_flight("r2")
        lane.on(failed("c1", FailureKind.TIMED_OUT, Billing.UNKNOWN), at(2))
        lane.on(completed("c1"), at(3))
        assert statuses(lane) == [("r1", ResponseStatus.OK), ("r2", ResponseStatus.OK)]

    @pytest.mark.parametrize(
        ("output", "change"),
        [
            pytest.param(Output("Hel", finish_reason="length"), {}, id="cut off"),
            pytest.param(Output("Hello", finish_reason="content_filter"), {}, id="filtered"),
            pytest.param(Output("Hello", finish_reason="stop", refusal="no"), {}, id="refused"),
            pytest.param(Output(None, finish_reason="stop"), {}, id="empty"),
            pytest.param(Output("Hello", finish_reason="stop"), {"cache_key": None}, id="no key to keep it under"),
            pytest.param(Output("Hello", finish_reason="stop"), {"cache_ttl_s": 0}, id="not to be kept"),
        ],
    )
    def test_an_answer_that_may_not_be_kept_is_the_leaders_alone_and_the_next_makes_its_call(self, output, change):
        lane = a_flight("r2", "r3", **change)
        lane.on(completed("c1", output=output), at(2))
        assert statuses(lane) == [("r1", ResponseStatus.OK)]
        assert phases(lane) == {"r2": RequestPhase.ORDERED, "r3": RequestPhase.FOLLOWING}
        assert [order.request_id for order in lane.orders] == ["r1", "r2"]

    @pytest.mark.parametrize(
        ("operation", "output"),
        [
            pytest.param(Operation.EMBEDDINGS, Output(embeddings=((0.5, 1.0),)), id="embeddings"),
            pytest.param(Operation.CLASSIFICATION, Output(label="spam"), id="a label"),
            pytest.param(
                Operation.CHAT, Output(tool_calls=(ToolCall("t", "f", "{}"),), finish_reason="tool_calls"), id="tool calls"
            ),
        ],
    )
    def test_every_whole_answer_is_shared(self, operation, output):
        lane = a_flight("r2", operation=operation)
        lane.on(completed("c1", output=output), at(2))
        assert [final.output for final in lane.finals] == [output, output]

    def test_one_decision_writes_so_many_bytes_of_copies_and_the_next_leader_the_rest(self, monkeypatch):
        monkeypatch.setattr(flights, "MAX_SHARED_BYTES", 25_000)
        lane = a_flight("r2", "r3", "r4", "r5", "r6")
        lane.on(completed("c1", output=Output("x" * 10_000, finish_reason="stop")), at(2))
        assert [name for name, _ in statuses(lane)] == ["r1", "r2", "r3"]
        assert phases(lane) == {"r4": RequestPhase.ORDERED, "r5": RequestPhase.FOLLOWING, "r6": RequestPhase.FOLLOWING}
        lane.on(started("c2", request_id="r4"), at(3))
        lane.on(completed("c2", request_id="r4"), at(4))
        assert [name for name, _ in statuses(lane)] == ["r1", "r2", "r3", "r4", "r5", "r6"]

    def test_an_answer_larger_than_the_bound_still_goes_to_one(self, monkeypatch):
        monkeypatch.setattr(flights, "MAX_SHARED_BYTES", 10)
        lane = a_flight("r2", "r3")
        lane.on(completed("c1"), at(2))
        assert [name for name, _ in statuses(lane)] == ["r1", "r2"]

    @pytest.mark.parametrize(
        ("output", "least"),
        [
            pytest.param(Output("é" * 1_000), 2_000, id="bytes and not characters"),
            pytest.param(Output(reasoning="x" * 5_000), 5_000, id="reasoning"),
            pytest.param(Output(data_json="x" * 5_000), 5_000, id="data"),
            pytest.param(Output(tool_calls=(ToolCall("t", "f", "x" * 5_000),)), 5_000, id="arguments"),
            pytest.param(Output(embeddings=((0.5,) * 1_000, (0.5,) * 1_000)), 8_000, id="vectors"),
        ],
    )
    def test_the_size_of_a_copy_counts_what_is_large(self, output, least):
        assert least <= flights.size_of(output) <= least + 1_000


class TestNoAnswer:
    @pytest.mark.parametrize("kind", [FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG])
    def test_an_error_that_all_would_meet_is_theirs_too(self, kind):
        lane = a_flight("r2", "r3", candidates=(CHEAP,))
        lane.on(failed("c1", kind), at(2))
        assert [(f.request_id, f.status, f.error.kind, f.attempts) for f in lane.finals] == [
            ("r1", ResponseStatus.ERROR, kind.value, 1),
            ("r2", ResponseStatus.ERROR, kind.value, 0),
            ("r3", ResponseStatus.ERROR, kind.value, 0),
        ]
        assert [(f.cost_nanousd, f.pricing_status) for f in lane.finals[1:]] == [(0, PricingStatus.NOT_BILLED)] * 2
        assert len(lane.orders) == 1
        assert len(lane.costs) == 1
        assert not lane.state.flights

    @pytest.mark.parametrize("kind", [FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND, FailureKind.CANCELLED])
    def test_any_other_error_is_the_leaders_alone(self, kind):
        lane = FakeLane(DispatchPolicy(retry_indeterminate=False))
        a_flight("r2", "r3", lane=lane, candidates=(CHEAP,))
        lane.on(failed("c1", kind, Billing.UNKNOWN), at(2))
        assert statuses(lane) == [("r1", ResponseStatus.ERROR)]
        assert phases(lane) == {"r2": RequestPhase.ORDERED, "r3": RequestPhase.FOLLOWING}

    def test_a_retry_is_nobodys_end(self):
        lane = a_flight("r2")
        lane.on(failed("c1", FailureKind.OVERLOADED), at(2))
        assert [order.request_id for order in lane.orders] == ["r1", "r1"]
        assert phases(lane) == {"r1": RequestPhase.ORDERED, "r2": RequestPhase.FOLLOWING}

    def test_at_the_leaders_deadline_the_first_who_has_time_left_makes_the_calls(self):
        lane = FakeLane()
        lane.on(asking(deadline=at(10)), at(0))
        lane.on(asking("r2", deadline=at(10)), at(1))
        lane.on(asking("r3", deadline=at(100)), at(1))
        lane.on(asking("r4", deadline=at(200)), at(1))
        lane.on(started("c1", lost_at=at(500)), at(1))
        lane.run_timers(at(10))
        assert statuses(lane) == [("r1", ResponseStatus.EXPIRED), ("r2", ResponseStatus.EXPIRED)]
        assert phases(lane) == {"r3": RequestPhase.ORDERED, "r4": RequestPhase.FOLLOWING}
        (_, order) = lane.orders
        assert (order.request_id, order.attempt, order.deadline) == ("r3", 1, at(100))

    def test_a_worker_that_comes_too_late_promotes_as_the_deadline_does(self):
        lane = a_flight()
        lane.on(asking("r2", deadline=at(900)), at(1))
        lane.on(failed("c1", FailureKind.EXPIRED), at(2))
        assert statuses(lane) == [("r1", ResponseStatus.EXPIRED)]
        assert phases(lane) == {"r2": RequestPhase.ORDERED}

    def test_a_follower_expires_at_its_own_deadline_and_the_leader_goes_on(self):
        lane = a_flight()
        lane.on(asking("r2", deadline=at(5)), at(1))
        lane.run_timers(at(5))
        assert statuses(lane) == [("r2", ResponseStatus.EXPIRED)]
        lane.on(completed("c1"), at(6))
        assert statuses(lane)[1:] == [("r1", ResponseStatus.OK)]
        assert len(lane.costs) == 1

    def test_with_nobody_in_time_the_next_request_leads(self):
        lane = FakeLane()
        lane.on(asking(deadline=at(10)), at(0))
        lane.on(asking("r2", deadline=at(10)), at(1))
        (first, second) = [timer for timer in lane.timers if timer.due == at(10)]
        lane.on(first.event, at(10))
        lane.on(asking("r3"), at(10))
        assert phases(lane) == {"r2": RequestPhase.FOLLOWING, "r3": RequestPhase.ORDERED}
        lane.on(second.event, at(10))
        assert statuses(lane) == [("r1", ResponseStatus.EXPIRED), ("r2", ResponseStatus.EXPIRED)]

    def test_a_follower_is_promoted_while_everything_is_down_and_released_like_any_other(self):
        lane = FakeLane(DispatchPolicy(max_attempts=1))
        a_flight("r2", "r3", lane=lane, candidates=(CHEAP,))
        lane.on(Advised(CHEAP.deployment, down=True), at(2))
        lane.on(failed("c1", FailureKind.OVERLOADED), at(2.5))
        assert statuses(lane) == [("r1", ResponseStatus.ERROR)]
        assert phases(lane) == {"r2": RequestPhase.PARKED, "r3": RequestPhase.FOLLOWING}
        lane.on(Advised(CHEAP.deployment, down=False), at(2.6))
        lane.run_timers(at(2.6))
        assert phases(lane) == {"r2": RequestPhase.ORDERED, "r3": RequestPhase.FOLLOWING}

    def test_the_late_call_of_a_former_leader_answers_nobody_else(self):
        lane = FakeLane()
        lane.on(asking(deadline=at(10)), at(0))
        lane.on(asking("r2"), at(1))
        lane.on(started("c1", lost_at=at(500)), at(1))
        lane.run_timers(at(10))
        lane.on(completed("c1"), at(11))
        assert statuses(lane) == [("r1", ResponseStatus.EXPIRED)]
        assert lane.costs[0].wasted
        assert phases(lane) == {"r2": RequestPhase.ORDERED}


class TestReadAgain:
    """The state of flights is the fold of what was written last of each request, in whatever order it is read."""

    @pytest.mark.parametrize("backwards", [False, True], ids=["as written", "backwards"])
    def test_a_restore_knows_who_leads(self, backwards):
        lane, changelog = a_flight("r2", "r3"), Changelog(Serde())
        last = {key: PutRequest(key, found.state, found.routed) for key, found in lane.state.open.items()}
        written = changelog.encode(list(last.values()), {})
        rebuilt = LaneState()
        for key, value in reversed(written) if backwards else written:
            changelog.apply(rebuilt, key, value)
        assert rebuilt.flights == lane.state.flights
        assert {t.due for t in timers_of(rebuilt)} == {at(600)}

    def test_a_follower_that_came_and_was_promoted_in_one_transaction_leads_after_a_restore(self):
        lane, changelog, rebuilt = FakeLane(), Changelog(Serde()), LaneState()
        first = lane.on(asking(deadline=at(10)), at(0)).changes
        for key, value in changelog.encode(first, {}):
            changelog.apply(rebuilt, key, value)
        folded = lane.on(asking("r2"), at(9)).changes + lane.on(asking("r3"), at(9)).changes
        (due,) = [timer for timer in lane.timers if timer.due == at(10)]
        folded += lane.on(due.event, at(10)).changes
        for key, value in changelog.encode(folded, {}):
            changelog.apply(rebuilt, key, value)
        assert rebuilt.flights == lane.state.flights
        (flight,) = rebuilt.flights.values()
        assert flight.leader == "acme/r2"


def test_usage_that_nobody_told_is_shared_as_the_estimate_that_was_charged():
    lane = a_flight("r2")
    lane.on(completed("c1", usage=None), at(2))
    lead, other = lane.finals
    assert other.usage == lead.usage == replace(Usage(10, 100), source=lead.usage.source)
