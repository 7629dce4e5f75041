"""F16: a provider that does not answer, and one that drips. The total deadline ends both, and what was billed is not known."""

import time
from collections.abc import Iterable
from dataclasses import replace

from schemas.calls import Billing, CallReported, FailureKind
from schemas.outcomes import ResponseStatus
from tests.fault.case import ANTHROPIC, OPENAI, Case, Observed
from tests.fault.cases._asking import Asking, all_closed, answers, not_answered, not_in_time
from tests.fault.load import Load
from tests.fault.rig import Rig

TIMEOUT_S, SLOTS = 3.0, 64
"""Of a deployment in the stack's catalogue."""
FIRES_WITHIN_S = 0.7
DEADLINE_S, SHORT_S = 8.0, 1.5
NEXT = 10


async def silent(rig: Rig) -> Observed:
    """Calls that hang or drip take every slot of Anthropic's worker; those that wait behind them get the slots in time."""
    hang = Asking(ANTHROPIC, fault="hang", deadline_s=DEADLINE_S)
    async with rig.load(100_000, per_s=15, make=Asking(OPENAI)) as others:
        await rig.flowing(40)
        async with rig.load(100_000, per_s=5, make=Asking(ANTHROPIC, deadline_s=TIMEOUT_S)) as calm:
            await all_closed(rig, calm)
            calm.stop()
        async with (
            rig.load(SLOTS // 2, per_s=1_000, make=hang) as hanging,
            rig.load(SLOTS // 4, per_s=1_000, make=replace(hang, fault="slow_body:2")) as dripping,
            rig.load(SLOTS // 4, per_s=1_000, make=replace(hang, fault="slow_body:2", stream=True)) as streamed,
        ):
            taken = [hanging, dripping, streamed]
            full = await rig.seen.until(lambda: len(_started(rig, taken)) >= SLOTS, 10)
        async with rig.load(NEXT, per_s=1_000, make=Asking(ANTHROPIC)) as behind:
            pass
        await rig.caught_up(time.time())
        async with rig.load(NEXT, per_s=100, make=replace(hang, deadline_s=SHORT_S)) as short:
            pass
        await rig.caught_up(time.time())
        others.stop()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    indeterminate = [*taken, short]
    first_ended = min((rig.seen.ended[r.call_id].reported_at for r in _started(rig, taken)), default=None)
    last_begun = max((r.reported_at for r in _first(rig, taken)), default=None)
    begun = [r.reported_at for r in _first(rig, [behind])]
    waited_s = max((at - last_begun).total_seconds() for at in begun) if begun and last_begun else 0.0
    return observed.also(
        *not_answered(rig, others, "requests of the other deployment"),
        *not_answered(rig, behind, "requests that waited for a slot"),
        *(p for load in taken for p in not_in_time(rig, load, DEADLINE_S, "a request that nobody answers", all_expire=True)),
        *not_in_time(rig, short, SHORT_S, "a request with a short deadline", all_expire=True),
        "" if full else "the slots were never full, that proves nothing",
        "" if first_ended and begun and min(begun) >= first_ended else "a call began though all slots were taken",
        f"a slot was free {waited_s:.2f} s after the last of them began" if waited_s > TIMEOUT_S + FIRES_WITHIN_S else "",
        *_outcomes(rig, indeterminate),
        notes=(f"slots taken again {waited_s:.2f} s after the last call before began",),
    )


def _started(rig: Rig, loads: Iterable[Load]) -> list[CallReported]:
    ours = {request_id for load in loads for request_id in load.sent_at}
    return [report for report in rig.seen.started.values() if report.request_id in ours]


def _first(rig: Rig, loads: Iterable[Load]) -> list[CallReported]:
    return [report for report in _started(rig, loads) if report.attempt == 1]


def _outcomes(rig: Rig, loads: list[Load]) -> list[str]:
    """Each call ends at its total deadline and no later; nobody knows what it cost, so that it is charged by its upper bounds."""
    problems = []
    deadlines = {r: at for load in loads for r, at in load.sent_at.items()}
    short = loads[-1].sent_at.keys()
    for report in _started(rig, loads):
        ended = rig.seen.ended[report.call_id]
        begun, failure = report.reported_at.timestamp(), ended.failure
        limit_s = min(TIMEOUT_S, deadlines[report.request_id] + (SHORT_S if report.request_id in short else DEADLINE_S) - begun)
        took_s = ended.reported_at.timestamp() - begun
        if not limit_s - 0.1 <= took_s <= limit_s + FIRES_WITHIN_S:
            problems.append(f"call {report.call_id} ended after {took_s:.2f} s, its deadline came after {limit_s:.2f} s")
        if failure is None or failure.kind not in {FailureKind.TIMED_OUT, FailureKind.EXPIRED}:
            problems.append(f"call {report.call_id} is reported as {failure}")
        elif failure.kind is FailureKind.TIMED_OUT:
            lines = [e for e in rig.seen.costs[report.request_id] if e.call_id == report.call_id]
            if failure.billing is not Billing.UNKNOWN or [(e.estimated, e.wasted) for e in lines] != [(True, True)]:
                problems.append(f"call {report.call_id} is reported as {failure} and charged as {lines}")
    if any(a.status is ResponseStatus.OK for load in loads for a in answers(rig, load)):
        problems.append("a request that nobody can answer was answered")
    return problems[:4]


CASES = [Case("F16", "no answer after sending; a body that drips", silent)]
