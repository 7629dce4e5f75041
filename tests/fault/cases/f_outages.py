"""F14: bursts of 500, 502, 503, 529; an outage of one provider, and of all."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from processors.dispatch.policy import DispatchPolicy
from schemas.outcomes import ResponseStatus
from streams.simulator.call_log import Call
from tests.fault.case import ANTHROPIC, CALM, OPENAI, PROVIDERS, Case, Observed
from tests.fault.cases._asking import LATE_S, Asking, all_closed, answers, latencies_s, not_answered, not_in_time
from tests.fault.load import Load, mixed
from tests.fault.rig import Rig

SHORT_DEADLINE_S = 3.0
ELSEWHERE_WITHIN_S = 2.5
SETTLED_WITHIN_S, QUIET_S = 6.0, 0.5
"""Calls that were ordered before the circuits opened are made in this time; then there is a pause until the first probe."""
POLICY = DispatchPolicy()
RECOVERY_LIMIT_S = POLICY.circuit_cap_s + 5.0
STATUSES = (500, 502, 503, 529)


@dataclass(frozen=True, slots=True)
class Outage:
    providers: tuple[str, ...]
    seconds: float
    per_s: float = 40.0
    drain_within_s: float = 60.0


async def outage(rig: Rig, *, of: Outage) -> Observed:
    """Providers answer 503 for a while. Without them all else goes on; without any all wait; in the end everybody is answered."""
    async with (
        rig.load(1_000_000, per_s=of.per_s, make=mixed) as load,
        rig.load(1_000_000, per_s=4, make=Asking(of.providers[0], deadline_s=SHORT_DEADLINE_S)) as hasty,
    ):
        await rig.flowing(60)
        await all_closed(rig, hasty)
        begun = time.time()
        for provider in of.providers:
            await rig.profile(provider, {**CALM, "faults": [{"fault": "http_503"}]})
        await asyncio.sleep(of.seconds)
        for provider in of.providers:
            await rig.profile(provider, dict(CALM))
        ended = time.time()
        waiting = len(rig.acknowledged()) - len(rig.seen.finals)
        load.stop()
        hasty.stop()
    drained_s = await rig.caught_up(ended, within_s=of.drain_within_s)
    answered = [a.answered_at.timestamp() for a in answers(rig, load) if a.status is ResponseStatus.OK]
    recovery_s = min((at - ended for at in answered if at > ended), default=None)
    observed = await rig.conclude(
        recovery_s=recovery_s, recovery_limit_s=RECOVERY_LIMIT_S, duplicates_at_most=0, deaths=0, within_s=of.drain_within_s
    )
    failing = sorted(c.t_in for c in rig.provider_calls() if c.provider in of.providers and begun <= c.t_in < ended)
    settled = next((at for at, after in pairwise([*failing, ended]) if after - at >= QUIET_S), ended)
    down = [at for at in failing if at > settled]
    lanes = rig.stack.settings.partitions
    most = lanes * len(of.providers) * probes_at_most(of.seconds)
    return observed.also(
        "" if recovery_s is not None else "no request was answered after the outage",
        *not_answered(rig, load, "requests with time left"),
        *not_in_time(rig, hasty, SHORT_DEADLINE_S, "a hasty request", late_s=LATE_S + drained_s),
        f"the circuits opened only after {settled - begun:.1f} s" if settled - begun > SETTLED_WITHIN_S else "",
        f"{len(down)} calls during the outage, {most} probes are the limit" if len(down) > most else "",
        "" if down else "nobody probed",
        *_answered_meanwhile(rig, load, of, begun, ended),
        notes=(
            f"{len(down)} of at most {most} probes in {of.seconds:g} s, {len(down) / of.seconds:.2f} a second",
            f"circuits open after {settled - begun:.1f} s",
            f"{waiting} waited at the end, drained in {drained_s:.1f} s",
        ),
    )


def probes_at_most(seconds: float, policy: DispatchPolicy = POLICY) -> int:
    """Probes of one circuit that opened in the first moment.

    >>> probes_at_most(2.5), probes_at_most(8), probes_at_most(60)
    (1, 3, 8)
    """
    wait_s = at_s = policy.circuit_first_s
    count = 0
    while at_s <= seconds:
        count += 1
        wait_s = min(2 * wait_s, policy.circuit_cap_s)
        at_s += wait_s
    return count


def _answered_meanwhile(rig: Rig, load: Load, of: Outage, begun: float, ended: float) -> list[str]:
    """With one provider left, what it may answer does not wait for the other."""
    if len(of.providers) == len(PROVIDERS):
        return []
    slow_s = [took_s for took_s in latencies_s(rig, load, [(begun, ended)]) if took_s > ELSEWHERE_WITHIN_S]
    return [f"{len(slow_s)} requests waited up to {max(slow_s):.1f} s, though a provider was well"] if slow_s else []


async def bursts(rig: Rig) -> Observed:
    """Bursts of every status that says the provider is at fault, at both providers, for a moment at both at once."""

    def profile(*spans: tuple[float, float]) -> dict[str, object]:
        kinds = (
            {"fault": "http_500", "every": 5},
            {"fault": "http_502", "every": 3},
            {"fault": "http_529", "every": 2},
            {"fault": "http_503"},
        )
        return {**CALM, "faults": [{**kind, "from_s": begin, "to_s": end} for begin, end in spans for kind in kinds]}

    async with rig.load(100_000, per_s=40, make=mixed) as load:
        await rig.flowing(60)
        await rig.profile(OPENAI, profile((0.5, 1.5), (3.5, 5.0)))
        await rig.profile(ANTHROPIC, profile((1.0, 2.0), (4.5, 6.0)))
        await asyncio.sleep(7)
        load.stop()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    struck = Counter(c.status for c in rig.provider_calls() if c.fault is not None)
    charged = _charged(rig, [c for c in rig.provider_calls() if c.fault is not None])
    return observed.also(
        *not_answered(rig, load, "requests"),
        *(f"no call was answered {status}" for status in STATUSES if not struck[status]),
        f"{charged} refused calls were charged" if charged else "",
        notes=(f"{sum(struck.values())} calls failed: {', '.join(f'{n} x {s}' for s, n in sorted(struck.items(), key=str))}",),
    )


def _charged(rig: Rig, calls: list[Call]) -> int:
    ids = {c.call_id for c in calls}
    return sum(e.cost_nanousd != 0 or e.estimated for events in rig.seen.costs.values() for e in events if e.call_id in ids)


LONG = frozenset({"long"})
CASES = [
    Case("F14", "bursts of 500, 502, 503 and 529", bursts),
    *(
        Case(case_id, title, partial(outage, of=of), tags=tags)
        for case_id, title, of, tags in (
            ("F14-one", "outage of one provider, 8 s", Outage((OPENAI,), 8.0), frozenset[str]()),
            ("F14-one-60", "outage of one provider, 60 s", Outage((OPENAI,), 60.0, 20.0), LONG),
            ("F14-all-8", "outage of all providers, 8 s", Outage(PROVIDERS, 8.0), frozenset[str]()),
            ("F14-all", "60 s without any provider at 100 requests a second", Outage(PROVIDERS, 60.0, 100.0, 120.0), LONG),
        )
    ),
]
