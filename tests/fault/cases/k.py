"""K1 to K10: kill -9 of one process at each point that hurts, under load."""

from collections.abc import Callable
from functools import partial

from tests.fault.case import FAST, Case, Observed, StackSpec
from tests.fault.kills import Acted
from tests.fault.rig import Rig

REQUESTS, AT_MOST, PER_S = 300, 3_000, 90.0
SESSION_TIMEOUT_S = 3.0
RECOVERY_LIMIT_S = SESSION_TIMEOUT_S + 5.0
STACK = StackSpec(session_timeout_ms=int(SESSION_TIMEOUT_S * 1000))

Expect = Callable[[Rig, Acted, Observed], list[str]]


async def kill(rig: Rig, *, point: str, nth: int, expect: Expect) -> Observed:
    """One process dies at the point; what it held is taken over within a session timeout."""
    async with rig.load(AT_MOST, per_s=PER_S) as load:
        await rig.flowing(10)
        acted = await rig.kill_at(f"{point}:{nth}")
        load.stop_after(REQUESTS)
    recovery_s = await rig.caught_up(acted.at)
    await rig.drained()
    observed = await rig.conclude(
        recovery_s=recovery_s,
        recovery_limit_s=RECOVERY_LIMIT_S,
        duplicates_at_most=len(rig.held_by(acted.pid, acted.at)),
        deaths=1,
    )
    return observed.also(*expect(rig, acted, observed))


def no_call_concerned(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K1 to K4: no worker died, so no call was repeated, lost or charged as an estimate."""
    return [
        f"{observed.estimated} estimates, though no worker died" if observed.estimated else "",
        f"{observed.duplicate_calls} duplicate calls, though no worker died" if observed.duplicate_calls else "",
    ]


def not_called_before(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K5: nothing was started for the order at the point, so its one call, made after redelivery, is charged as reported."""
    started, lines = rig.seen.call_ids_of(acted.about), rig.seen.costs[acted.about]
    plain = [event for event in lines if not event.estimated and not event.wasted]
    return [
        "" if len(started) == 1 else f"{acted.about} has {len(started)} started calls, 1 was expected",
        "" if len(lines) == len(plain) == 1 else f"{acted.about} is charged as {lines}",
    ]


def lost_call_is_estimated(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K6 to K9: the call at the point is charged once, as an estimate, and another call answers."""
    if (report := rig.seen.started.get(acted.about)) is None:
        return [f"the call {acted.about} at the point has no STARTED report"]
    lines = [event for event in rig.seen.costs[report.request_id] if event.call_id == acted.about]
    answered_by = rig.first_final(report.request_id).response.call_id
    return [
        "" if [event.estimated for event in lines] == [True] else f"the call at the point is charged as {lines}",
        f"the lost call {acted.about} answered its request" if answered_by == acted.about else "",
        "" if len(rig.seen.call_ids_of(report.request_id)) > 1 else "the order at the point was not called again",
    ]


def never_sent(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K6: as any lost call, and the provider never saw it."""
    arrived = any(call.call_id == acted.about for call in rig.provider_calls())
    return [*lost_call_is_estimated(rig, acted, observed), f"{acted.about} reached the provider" if arrived else ""]


def billed(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K8 and K9: the provider has billed output, and the estimate covers it (`conclude` compares the amounts)."""
    call = next((call for call in rig.provider_calls() if call.call_id == acted.about), None)
    missing = call is None or call.output_tokens == 0 or call.bytes_out == 0
    return [*lost_call_is_estimated(rig, acted, observed), f"the provider has billed nothing: {call}" if missing else ""]


def charged_and_wasted(rig: Rig, acted: Acted, observed: Observed) -> list[str]:
    """K10: the call at the point answers and is charged as reported; the redelivered order's call is a second, wasted line."""
    if (report := rig.seen.started.get(acted.about)) is None:
        return [f"the call {acted.about} at the point has no STARTED report"]
    lines = rig.seen.costs[report.request_id]
    mine = [(event.estimated, event.wasted) for event in lines if event.call_id == acted.about]
    others = [event for event in lines if event.call_id != acted.about]
    answered_by = rig.first_final(report.request_id).response.call_id
    return [
        "" if mine == [(False, False)] else f"the call at the point is charged as {lines}",
        "" if answered_by == acted.about else f"{answered_by} answered instead of the first call, {acted.about}",
        "" if others and all(event.wasted for event in others) else f"the call after redelivery is not `wasted`: {others}",
    ]


CASES = [
    Case(point, title, partial(kill, point=point, nth=nth, expect=expect), tags=frozenset({FAST, "kill"}), stack=STACK)
    for point, title, nth, expect in (
        ("K1", "intake: consumed, before its produce is acknowledged", 8, no_call_concerned),
        ("K2", "dispatcher: folded, before commit", 10, no_call_concerned),
        ("K3", "dispatcher: commit sent, reply lost", 8, no_call_concerned),
        ("K4", "dispatcher: committed, before the next cycle", 10, no_call_concerned),
        ("K5", "worker: order consumed, before STARTED is acknowledged", 15, not_called_before),
        ("K6", "worker: STARTED acknowledged, before the request is sent", 15, never_sent),
        ("K7", "worker: sent, no byte back", 10, lost_call_is_estimated),
        ("K8", "worker: mid-stream", 40, billed),
        ("K9", "worker: whole response, before COMPLETED is acknowledged", 15, billed),
        ("K10", "worker: COMPLETED acknowledged, before the order's offset commits", 15, charged_and_wasted),
    )
]
