"""F13: a provider that answers 429 with a Retry-After: in seconds, as a date, below zero, absurd."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from tests.fault.case import ANTHROPIC, OPENAI, Case, Observed
from tests.fault.cases._asking import STEADY, Asking, answers, latencies_s, not_answered, not_in_time, p99
from tests.fault.load import Load
from tests.fault.rig import Rig

OTHERS_PER_S, PINNED_PER_S, FREE_PER_S = 20.0, 4.0, 5.0
ROUNDS, PHASE_S = 3, 4.0
P99_SHARE = 1.5
ELSEWHERE_WITHIN_S = 1.5


@dataclass(frozen=True, slots=True)
class Told:
    """What the provider says, and how long a request that may go nowhere else then waits.

    `at_least_s`, `at_most_s` bound the time between two calls; `deadline_s` is that of requests that cannot outlast the wait.
    """

    retry_after: str
    at_least_s: float = 0.0
    at_most_s: float | None = None
    deadline_s: float | None = None


async def limited(rig: Rig, *, told: Told) -> Observed:
    """OpenAI is limited in every second stretch: what is pinned to it waits, all else goes elsewhere, Anthropic unharmed."""
    await rig.profile("default", dict(STEADY))
    calm: list[tuple[float, float]] = []
    faulty: list[tuple[float, float]] = []
    async with (
        rig.load(100_000, per_s=OTHERS_PER_S, make=Asking(ANTHROPIC)) as others,
        rig.load(100_000, per_s=PINNED_PER_S, make=Asking(OPENAI, deadline_s=told.deadline_s)) as pinned,
        rig.load(100_000, per_s=FREE_PER_S, make=Asking(providers=(OPENAI, ANTHROPIC))) as free,
    ):
        await rig.flowing(80)
        for _ in range(ROUNDS):
            begun = time.time()
            await asyncio.sleep(PHASE_S)
            calm.append((begun, time.time()))
            rule = {"fault": f"http_429:{told.retry_after}", "to_s": PHASE_S}
            await rig.profile(OPENAI, {**STEADY, "faults": [rule]})
            begun = time.time()
            await asyncio.sleep(PHASE_S)
            faulty.append((begun, time.time()))
        for load in (others, pinned, free):
            load.stop()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    plain_s, limited_s = p99(latencies_s(rig, others, calm)), p99(latencies_s(rig, others, faulty))
    refused = {c.call_id for c in rig.provider_calls() if c.status == 429}
    pinned_refused = [r for r in pinned.sent_at if any(c in refused for c in rig.seen.call_ids_of(r))]
    share = limited_s / plain_s
    return observed.also(
        *not_answered(rig, others, "requests of the other deployment"),
        *not_answered(rig, free, "requests that may go elsewhere"),
        *(not_answered(rig, pinned, "pinned requests") if told.deadline_s is None else ()),
        *(not_in_time(rig, pinned, told.deadline_s, "pinned request") if told.deadline_s is not None else ()),
        *_gaps(rig, refused, pinned_refused, told, slack_s=plain_s),
        *_elsewhere(rig, refused, free, slack_s=plain_s),
        *_free_of_charge(rig, refused),
        f"the others' p99 is {share:.2f} of calm, the limit is {P99_SHARE:g}" if share > P99_SHARE else "",
        f"{len(pinned_refused)} pinned requests were told to wait, that proves nothing" if len(pinned_refused) < 10 else "",
        notes=(f"others' p99 {share:.2f} of calm ({plain_s * 1000:.0f} ms), {len(refused)} calls refused",),
    )


def _gaps(rig: Rig, refused: set[str | None], pinned: list[str], told: Told, *, slack_s: float) -> list[str]:
    """Pinned requests are called again when they were told to, and not before. `slack_s`: what a request takes at all here."""
    calls: dict[str, list[tuple[float, str | None]]] = {request_id: [] for request_id in pinned}
    for call in sorted(rig.provider_calls(), key=lambda c: c.t_in):
        if call.request_id in calls:
            calls[call.request_id].append((call.t_in, call.call_id))
    gaps = [after - at for made in calls.values() for (at, call_id), (after, _) in pairwise(made) if call_id in refused]
    early = [gap for gap in gaps if gap < told.at_least_s]
    late = [gap for gap in gaps if told.at_most_s is not None and gap > told.at_most_s + slack_s]
    return [
        f"{len(early)} of {len(gaps)} calls came {min(early):.2f} s after a refusal, {told.at_least_s:g} s were asked for"
        if early
        else "",
        f"{len(late)} of {len(gaps)} calls came only {max(late):.2f} s after a refusal, {told.at_most_s:g} s is the limit"
        if late
        else "",
        "" if gaps or told.deadline_s is not None else "no pinned request was called again",
    ]


def _elsewhere(rig: Rig, refused: set[str | None], free: Load, *, slack_s: float) -> list[str]:
    """What was refused and may go elsewhere is answered there, at once."""
    late = []
    for answer in answers(rig, free):
        if any(call_id in refused for call_id in rig.seen.call_ids_of(answer.request_id)):
            took_s = answer.answered_at.timestamp() - free.sent_at[answer.request_id]
            if answer.provider != ANTHROPIC or took_s > ELSEWHERE_WITHIN_S + slack_s:
                late.append(f"{answer.request_id} was refused, and answered by {answer.provider} after {took_s:.2f} s")
    return late[:3]


def _free_of_charge(rig: Rig, refused: set[str | None]) -> list[str]:
    events = [e for events in rig.seen.costs.values() for e in events if e.call_id in refused]
    charged = [e for e in events if e.cost_nanousd != 0 or e.estimated]
    return [f"{len(charged)} refused calls were charged, {charged[0]} for one"] if charged else []


CASES = [
    Case(case_id, title, partial(limited, told=told))
    for case_id, title, told in (
        ("F13-seconds", "429 with a Retry-After in seconds", Told("2", 2.0, 4.5)),
        ("F13-date", "429 with a Retry-After as an HTTP date", Told("date+3", 1.9, 5.5)),
        ("F13-negative", "429 with a Retry-After of -1", Told("-1")),
        ("F13-absurd", "429 with a Retry-After of 10^9 s", Told("1000000000", deadline_s=8.0, at_least_s=30.0)),
    )
]
