"""Laws of the dispatcher, over random schedules of deliveries, redeliveries, failures and time."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from processors.cost import totals
from processors.dispatch.events import Advised
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import LaneState
from schemas.calls import Billing, FailureKind
from schemas.ledger import CostKind
from schemas.outcomes import CacheState
from schemas.routing import Fallback, RequestRouted
from schemas.serde import Serde
from schemas.state import RequestPhase
from streams.dispatcher.changelog import Changelog
from tests.fakes.lane import FakeLane
from tests.fakes.records import CHEAP, DEAR, LARGE, SPARE, asking, at, completed, failed, started

SERDE = Serde()
REQUESTS = ("r1", "r2", "r3", "r4")
CANDIDATES = {candidate.deployment: candidate for candidate in (CHEAP, DEAR, LARGE, SPARE)}
HEDGE_MS = {"r1": 1_000, "r2": 30_000}
FALLBACK = {"r2": Fallback(text="sorry")}

step = st.one_of(
    st.tuples(st.just("routed"), st.sampled_from(REQUESTS), st.sampled_from([b"d" * 32, b"e" * 32])),
    st.tuples(st.just("started"), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("completed"), st.integers(0, 3), st.integers(0, 5)),
    st.tuples(st.just("failed"), st.integers(0, 3), st.sampled_from(list(FailureKind)), st.sampled_from(list(Billing))),
    st.tuples(st.just("wait"), st.floats(0.1, 120.0)),
    st.tuples(st.just("advised"), st.sampled_from(list(CANDIDATES)), st.booleans()),
)


def play(steps, *, to_the_end: bool = True) -> tuple[FakeLane, dict[str, bytes | None], set[str]]:
    """Run a schedule. Calls exist for orders alone: a worker delivers an order, perhaps twice, under fresh call ids."""
    lane, changelog, records, now = FakeLane(DispatchPolicy(max_attempts=4)), Changelog(SERDE), {}, 0.0
    calls: list[tuple[str, object]] = []
    begun: set[str] = set()

    def on(event):
        decision = lane.on(event, at(now))
        records.update(changelog.encode(decision.changes, {}))

    def fire():
        while due := [timer for timer in lane.timers if timer.due <= at(now)]:
            for timer in due:
                lane.timers.remove(timer)
                on(timer.event)

    for name, *arguments in steps:
        if name == "routed":
            on(asks(*arguments))
        elif name == "advised":
            on(Advised(*arguments))
        elif name == "wait":
            now += arguments[0]
            fire()
        elif name == "started" and lane.orders:
            order = lane.orders[-1 - arguments[0] % len(lane.orders)]
            call_id = f"c{len(calls)}"
            calls.append((call_id, order))
            begun.add(call_id)
            on(
                started(
                    call_id,
                    request_id=order.request_id,
                    attempt=order.attempt,
                    candidate=CANDIDATES[order.deployment],
                    lost_at=at(now + 70),
                    started_at=at(now),
                )
            )
        elif name in ("completed", "failed") and calls:
            call_id, order = calls[-1 - arguments[0] % len(calls)]
            about = {"request_id": order.request_id, "attempt": order.attempt, "candidate": CANDIDATES[order.deployment]}
            on(completed(call_id, **about) if name == "completed" else failed(call_id, arguments[1], arguments[2], **about))
    if to_the_end:
        now += 10_000
        fire()
    return lane, records, begun


def asks(name: str, body: bytes) -> RequestRouted:
    """A request: all but the last ask the same, some are hedged, one has a fallback."""
    flight = None if name == REQUESTS[-1] else f"acme:{body[:1].decode()}"
    return asking(
        name,
        body_digest=body,
        candidates=tuple(CANDIDATES.values()),
        deadline=at(400 if name == "r1" else 900),
        flight_key=flight,
        hedge_after_ms=HEDGE_MS.get(name),
        fallback=FALLBACK.get(name),
    )


@given(st.lists(step, max_size=40))
def test_one_final_a_request_one_cost_event_a_started_call_totals_are_the_fold(steps):
    lane, _, begun = play(steps)
    known = {(r.tenant, r.request_id) for r in lane.responses}
    assert Counter((f.tenant, f.request_id) for f in lane.finals) == Counter(known)
    assert Counter(c.call_id for c in lane.costs if c.kind is CostKind.CALL) == Counter(begun)
    shared = Counter((f.request_id, f.served_by) for f in lane.finals if f.cache is CacheState.SHARED)
    assert Counter((c.request_id, c.served_by) for c in lane.costs if c.kind is CostKind.CACHE_HIT) == shared
    fold: dict[str, object] = {}
    for cost in lane.costs:
        fold[totals.total_key(cost)] = totals.add(fold.get(totals.total_key(cost)), cost, now=cost.recorded_at)
    assert fold == lane.state.totals
    assert not lane.state.open
    assert not lane.state.calls
    assert not lane.state.flights


@given(st.lists(step, max_size=40))
def test_while_anybody_follows_one_of_its_flight_makes_the_calls(steps):
    lane, _, _ = play([("routed", "r1", b"d" * 32), *steps], to_the_end=False)
    calling, waiting = Counter(), Counter()
    for found in lane.state.open.values():
        (waiting if found.state.phase is RequestPhase.FOLLOWING else calling)[found.routed.flight_key] += 1
    del calling[None]
    assert all(count == 1 for count in calling.values())
    assert waiting.keys() <= calling.keys()


@given(st.lists(step, max_size=40))
def test_a_request_has_at_most_two_orders_that_are_awaited_and_the_second_is_a_hedge(steps):
    lane, _, _ = play([("routed", "r1", b"d" * 32), *steps], to_the_end=False)
    for found in lane.state.open.values():
        awaited = found.state.awaited
        assert len(awaited) <= 1 or (len(awaited), found.routed.hedge_after_ms is not None) == (2, True)
    assert all(order.attempt == 2 for order in lane.orders if order.hedge)


@given(st.lists(step, max_size=40))
def test_the_same_events_give_the_same_records(steps):
    first, second = play(steps), play(steps)
    assert first[0].records == second[0].records
    assert first[1] == second[1]


@given(st.lists(step, max_size=40), st.booleans())
def test_the_state_is_the_fold_of_its_changelog_whenever_it_is_read(steps, to_the_end):
    lane, records, _ = play([("routed", "r1", b"d" * 32), *steps], to_the_end=to_the_end)
    rebuilt, changelog = LaneState(), Changelog(SERDE)
    for key, value in records.items():
        changelog.apply(rebuilt, key, value)
    for part in LaneState.__slots__:
        assert getattr(rebuilt, part) == getattr(lane.state, part), part
