"""F1, F2: many deaths at once."""

import asyncio

from tests.fault.case import Case, Observed, StackSpec
from tests.fault.cases.k import SESSION_TIMEOUT_S, STACK
from tests.fault.rig import Rig

POINTS = {"K1": 10, "K2": 20, "K3": 15, "K4": 25, "K5": 10, "K6": 15, "K7": 10, "K8": 30, "K9": 15, "K10": 20}
ACTED_WITHIN_S = 75.0


async def every_point(rig: Rig) -> Observed:
    """One death at each of K1 to K10 within one load, as they come: victims die again while they start."""
    async with rig.load(4_000, per_s=30) as load:
        await rig.flowing(20)
        await rig.kills.arm(",".join(f"{point}:{nth}" for point, nth in POINTS.items()))
        acted = await asyncio.gather(*(rig.kills.acted(point, ACTED_WITHIN_S) for point in POINTS))
        load.stop()
    last = max(a.at for a in acted)
    recovery_s = await rig.caught_up(last)
    await rig.drained()
    held = set().union(*(rig.held_by(a.pid, a.at) for a in acted))
    observed = await rig.conclude(
        recovery_s=recovery_s,
        recovery_limit_s=SESSION_TIMEOUT_S + 5,
        duplicates_at_most=len(held),
        deaths=len(POINTS),
    )
    took_s = last - min(a.at for a in acted)
    return observed.also(notes=(f"{len(POINTS)} deaths within {took_s:.0f} s",))


async def everything_at_once(rig: Rig) -> Observed:
    """Every process dies in one moment, the broker and the cache too, and comes back by itself."""
    async with rig.load(300, per_s=20) as load:
        await rig.flowing(40)
        pids = rig.fleet.names().values()
        killed_at = await rig.fleet.kill_everything()
        recovery_s = await rig.recovered(killed_at)
        caught_up_s = await rig.caught_up(killed_at)
    await rig.drained()
    held = set().union(*(rig.held_by(pid, killed_at) for pid in pids))
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=20, duplicates_at_most=len(held))
    return observed.also(notes=(f"all from before it answered after {caught_up_s:.0f} s", f"{load.refusals} refusals"))


CASES = [
    Case("F1", "kill -9 at each of K1 to K10 in one load", every_point, tags=frozenset({"kill"}), stack=STACK),
    Case("F2", "kill -9 of all processes at once, the broker too", everything_at_once, stack=StackSpec()),
]
