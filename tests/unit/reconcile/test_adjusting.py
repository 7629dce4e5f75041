"""What the dispatcher makes of a reconciled call: the difference, once."""

from dataclasses import replace

import pytest

from processors.cost import totals
from processors.dispatch.events import Sweep
from processors.dispatch.state import LaneState
from schemas.calls import Billing, CallPhase, Charged, FailureKind, Output, Usage
from schemas.ledger import CostKind, PricingStatus
from schemas.routing import Candidate
from schemas.serde import Serde
from streams.dispatcher.changelog import Changelog
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, T0, at, completed, failed, report, routed, started
from tests.unit.reconcile.both_sides import line, look, reconciled, reports

UNPRICED = Candidate("openai/nobody-knows", "openai", "nobody-knows", timeout_ms=60_000, output_tokens_bound=100)
IN, OUT = 150, 600
"""gpt-4o-mini: $0.15 and $0.60 a million tokens, in nano-dollars a token."""


def lost(candidate=CHEAP, lane=None):
    """A lane whose call c1 was lost and charged by its bounds: 10 in, 100 out."""
    lane = lane or FakeLane()
    lane.on(routed(candidates=(candidate,), deadline=at(60), user="ada"), at(0))
    lane.on(started("c1", candidate=candidate), at(0))
    lane.run_timers(at(100))
    assert [(c.estimated, c.usage.output_tokens) for c in lane.costs] == [(True, 100)]
    return lane


def total_of(lane):
    (total,) = lane.state.totals.values()
    return total


def fold(lane):
    found = None
    for event in lane.costs:
        found = totals.add(found, event, now=event.recorded_at)
    return found


def test_an_estimate_becomes_an_actual_and_the_total_follows():
    lane = lost()
    assert total_of(lane).estimated_calls == 1
    reconciled(lane, [line("c1", 10, 30)], at(200))
    charge, adjusted = lane.costs
    assert (adjusted.event_id, adjusted.kind, adjusted.call_id) == ("c1/adjusted/1", CostKind.ADJUSTED, "c1")
    assert (adjusted.usage, adjusted.cost_nanousd) == (Usage(0, -70), -70 * OUT)
    assert (adjusted.estimated, adjusted.replaces_estimate, adjusted.pricing_status) == (False, True, PricingStatus.PRICED)
    same = (
        "request_id",
        "attempt",
        "tenant",
        "lane",
        "user",
        "provider",
        "deployment",
        "model",
        "operation",
        "occurred_at",
        "wasted",
    )
    assert [getattr(adjusted, name) for name in same] == [getattr(charge, name) for name in same]
    total = total_of(lane)
    assert (total.calls, total.estimated_calls, total.output_tokens) == (1, 0, 30)
    assert total.cost_nanousd == 10 * IN + 30 * OUT
    assert total == fold(lane)


def test_an_estimate_that_was_right_counts_no_longer_as_one():
    lane = lost()
    reconciled(lane, [line("c1", 10, 100)], at(200))
    assert (lane.costs[-1].usage, lane.costs[-1].cost_nanousd) == (Usage(0, 0), 0)
    assert total_of(lane).estimated_calls == 0
    assert look(lane, [line("c1", 10, 100)])[0].booked.charged.sequence == 2
    assert reports(look(lane, [line("c1", 10, 100)]), as_of=at(300)) == []


def test_a_second_bill_is_a_second_difference():
    lane = lost()
    reconciled(lane, [line("c1", 10, 30)], at(200))
    reconciled(lane, [line("c1", 12, 50)], at(300))
    assert [c.event_id for c in lane.costs] == ["c1", "c1/adjusted/1", "c1/adjusted/2"]
    assert (lane.costs[-1].usage, lane.costs[-1].replaces_estimate) == (Usage(2, 20), False)
    assert total_of(lane).cost_nanousd == 12 * IN + 50 * OUT
    assert total_of(lane).estimated_calls == 0
    assert total_of(lane) == fold(lane)


def test_what_was_asked_for_twice_is_posted_once():
    lane = lost()
    first, second = (reports(look(lane, [line("c1", 10, 30)]), as_of=at(200)) for _ in range(2))
    for one in (*first, *second):
        lane.on(one, at(201))
    assert [c.event_id for c in lane.costs] == ["c1", "c1/adjusted/1"]


def test_of_two_bills_at_once_the_first_stands_until_the_next_run():
    lane = lost()
    first, second = (reports(look(lane, [line("c1", 10, out)]), as_of=at(200)) for out in (30, 40))
    for one in (*first, *second):
        lane.on(one, at(201))
    assert total_of(lane).output_tokens == 30
    reconciled(lane, [line("c1", 10, 40)], at(300))
    assert total_of(lane).output_tokens == 40


def test_a_stale_request_is_ignored_even_when_its_adjustment_is_forgotten():
    lane = lost()
    stale = reports(look(lane, [line("c1", 10, 30)]), as_of=at(200))
    reconciled(lane, [line("c1", 10, 30)], at(200))
    lane.on(Sweep(10), at(201 + 86_400))
    assert not lane.state.adjusted
    for one in stale:
        lane.on(one, at(202 + 86_400))
    assert len(lane.costs) == 2
    reconciled(lane, [line("c1", 10, 31)], at(300 + 86_400))
    assert [c.event_id for c in lane.costs] == ["c1", "c1/adjusted/1", "c1/adjusted/2"], "a fresh look goes on counting"
    assert total_of(lane).output_tokens == 31


def test_it_is_remembered_as_long_as_a_request_could_come():
    lane = lost()
    reconciled(lane, [line("c1", 10, 30)], at(200))
    lane.on(Sweep(10), at(201 + 86_400 - 1))
    assert set(lane.state.adjusted) == {"c1"}


def test_a_void_takes_everything_back():
    lane = lost()
    void = replace(reports(look(lane, [line("c1", 1, 1)]), as_of=at(200))[0], usage=None)
    lane.on(void, at(201))
    adjusted = lane.costs[-1]
    assert (adjusted.usage, adjusted.cost_nanousd) == (Usage(-10, -100), -(10 * IN + 100 * OUT))
    total = total_of(lane)
    assert (total.calls, total.estimated_calls, total.input_tokens, total.output_tokens, total.cost_nanousd) == (1, 0, 0, 0, 0)


def test_an_unknown_price_stays_unknown():
    lane = lost(UNPRICED)
    reconciled(lane, [line("c1", 10, 30)], at(200))
    adjusted = lane.costs[-1]
    assert (adjusted.usage, adjusted.cost_nanousd, adjusted.pricing_status) == (Usage(0, -70), None, PricingStatus.UNKNOWN)
    total = total_of(lane)
    assert (total.output_tokens, total.cost_nanousd, total.unpriced_calls, total.estimated_calls) == (30, 0, 1, 0)
    assert reports(look(lane, [line("c1", 10, 30)]), as_of=at(300)) == []


def test_a_call_that_we_thought_free_is_charged_when_it_was_billed():
    lane = FakeLane()
    lane.on(routed(candidates=(CHEAP,)), at(0))
    lane.on(started("c1"), at(0))
    lane.on(failed("c1", FailureKind.OVERLOADED, Billing.NOT_BILLED), at(1))
    reconciled(lane, [line("c1", 10, 5)], at(200))
    assert (lane.costs[-1].usage, lane.costs[-1].cost_nanousd) == (Usage(10, 5), 10 * IN + 5 * OUT)
    assert not lane.costs[-1].replaces_estimate


def test_the_request_and_the_circuit_do_not_hear_of_it():
    lane = lost()
    before = dict(lane.state.circuits), dict(lane.state.open), dict(lane.state.finished)
    responses = list(lane.responses)
    reconciled(lane, [line("c1", 10, 30)], at(200))
    assert (lane.state.circuits, lane.state.open, lane.state.finished) == before
    assert lane.responses == responses


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"charged": None}, id="without what was charged"),
        pytest.param({"charged": Charged(0, 1, 1)}, id="without a number"),
        pytest.param({"started_at": None}, id="without the call's start"),
    ],
)
def test_a_report_that_says_too_little_is_ignored(change):
    lane = lost()
    fields = {"charged": Charged(1, 10, 100, estimated=True), "started_at": T0, "usage": Usage(1, 1), "reported_at": at(200)}
    lane.on(report("c1", CallPhase.RECONCILED, **(fields | change)), at(201))
    assert len(lane.costs) == 1


def test_a_call_that_is_still_open_is_not_adjusted():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("c1"), at(0))
    lane.on(
        report("c1", CallPhase.RECONCILED, charged=Charged(1, 0, 0), started_at=T0, usage=Usage(1, 1), reported_at=at(1)), at(1)
    )
    assert lane.costs == []


def test_the_changelog_keeps_it_and_forgets_it():
    lane, serde, rebuilt = lost(), Serde(), LaneState()
    changelog = Changelog(serde)
    (asked,) = reports(look(lane, [line("c1", 10, 30)]), as_of=at(200))
    for decision in (lane.on(asked, at(201)),):
        for key, value in changelog.encode(decision.changes, {}):
            changelog.apply(rebuilt, key, value)
    assert rebuilt.adjusted == lane.state.adjusted
    for key, value in changelog.encode(lane.on(Sweep(10), at(201 + 86_400)).changes, {}):
        changelog.apply(rebuilt, key, value)
    assert rebuilt.adjusted == lane.state.adjusted == {}


def test_the_ledger_keeps_the_providers_id():
    lane = FakeLane()
    lane.on(routed(), at(0))
    lane.on(started("c1"), at(0))
    lane.on(completed("c1", output=Output("Hi", provider_response_id="chatcmpl-1")), at(1))
    assert lane.costs[0].provider_response_id == "chatcmpl-1"
