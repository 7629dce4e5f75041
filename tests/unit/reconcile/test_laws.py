"""Laws: afterwards the ledger says what the provider bills, the totals are the fold, and once is enough."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.cost import totals
from schemas.calls import Billing, FailureKind, Usage
from schemas.ledger import CostKind
from streams.reconcile.judging import Differs
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, at, completed, failed, routed, started
from tests.unit.reconcile.both_sides import WHOLE_DAY, line, look, reconciled, reports

TOKENS = st.integers(0, 5_000)
CALL = st.tuples(st.sampled_from(["lost", "unknown", "free", "reported"]), TOKENS, TOKENS, st.none() | st.tuples(TOKENS, TOKENS))
"""How a call ended for us, what we were told, and what the provider bills; None: it has no such call."""


def charged(calls) -> FakeLane:
    lane = FakeLane()
    for n, (end, input_tokens, output_tokens, _) in enumerate(calls):
        candidate, about = (CHEAP, DEAR)[n % 2], {"request_id": f"r{n}"}
        lane.on(routed(f"r{n}", candidates=(candidate,), deadline=at(60), input_tokens_estimate=input_tokens), at(0))
        lane.on(started(f"c{n}", candidate=candidate, **about), at(0))
        if end == "reported":
            lane.on(completed(f"c{n}", candidate=candidate, usage=Usage(input_tokens, output_tokens), **about), at(1))
        elif end != "lost":
            billing = Billing.UNKNOWN if end == "unknown" else Billing.NOT_BILLED
            lane.on(failed(f"c{n}", FailureKind.REJECTED, billing, candidate=candidate, **about), at(1))
    lane.run_timers(at(100))
    return lane


def billed(calls):
    return [line(f"c{n}", *bill) for n, (*_, bill) in enumerate(calls) if bill is not None]


def folded(lane):
    fold = {}
    for event in lane.costs:
        key = totals.total_key(event)
        fold[key] = totals.add(fold.get(key), event, now=event.recorded_at)
    return fold


@given(calls=st.lists(CALL, max_size=8))
@settings(deadline=None)
def test_afterwards_the_ledger_says_what_the_provider_bills(calls):
    lane = charged(calls)
    reconciled(lane, billed(calls), at(200), WHOLE_DAY)
    for n, (end, *_, bill) in enumerate(calls):
        usages = [event.usage for event in lane.costs if event.call_id == f"c{n}" and event.usage is not None]
        said = sum(u.input_tokens for u in usages), sum(u.output_tokens for u in usages)
        if bill is not None:
            assert said == bill
        elif end != "reported":
            assert said == (0, 0), "a complete export that lacks it proves that it was not billed"
    assert folded(lane) == lane.state.totals
    assert sum(total.estimated_calls for total in lane.state.totals.values()) == 0


@given(calls=st.lists(CALL, max_size=8), runs=st.integers(2, 3))
@settings(deadline=None)
def test_however_often_and_at_once_it_is_posted_once(calls, runs):
    lane = charged(calls)
    asked = [reports(look(lane, billed(calls), WHOLE_DAY), as_of=at(200)) for _ in range(runs)]
    for one in (report for reports_ in asked for report in reports_):
        lane.on(one, at(201))
    assert max(Counter(event.event_id for event in lane.costs).values(), default=1) == 1
    adjustments = [event for event in lane.costs if event.kind is CostKind.ADJUSTED]
    assert len(adjustments) == len(asked[0])
    assert not [found for found in look(lane, billed(calls), WHOLE_DAY) if isinstance(found, Differs)]
    assert folded(lane) == lane.state.totals
