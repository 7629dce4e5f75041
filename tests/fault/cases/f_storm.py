"""F6: members come and go."""

import asyncio
import time
from itertools import pairwise

from tests.fault.case import Case, Observed
from tests.fault.cases._closed_loop import closed_loop
from tests.fault.cases._members import toggle
from tests.fault.rig import Rig

OPEN_REQUESTS = 48
WARM_S, CALM_S, SETTLE_S = 4.0, 12.0, 8.0
EVERY_S, STORM_S = 3.0, 60.0
ROLES = ("dispatch", "intake", "calls:openai")
LEAST_SHARE = 0.2
LONGEST_GAP_S = 11.0
"""Without any final: a session timeout and 5 s, as after any fault."""


async def storm(rig: Rig) -> Observed:
    """Every three seconds a member of one of the groups leaves or comes back, for a minute; requests go through all the while."""
    async with closed_loop(rig, OPEN_REQUESTS) as load:
        await rig.flowing(OPEN_REQUESTS)
        await asyncio.sleep(WARM_S)
        calm_at = time.time()
        await asyncio.sleep(CALM_S)
        storm_at = time.time()
        async with asyncio.TaskGroup() as toggles:
            changes = [
                toggles.create_task(_at(storm_at + number * EVERY_S, rig, ROLES[number % len(ROLES)]))
                for number in range(int(STORM_S / EVERY_S))
            ]
        await asyncio.sleep(max(0.0, storm_at + STORM_S - time.time()))
        over_at = time.time()
        await asyncio.sleep(SETTLE_S)
        calm_again_at = time.time()
        await asyncio.sleep(CALM_S)
        end_at = time.time()
        load.stop()
    recovery_s = await rig.caught_up(over_at)
    calm = max(load.finals_per_s(calm_at, storm_at), load.finals_per_s(calm_again_at, end_at))
    stormy = load.finals_per_s(storm_at, over_at)
    left = sum("leaves" in change.result() for change in changes)
    gap_s = _longest_gap_s(rig, storm_at, over_at)
    observed = await rig.conclude(recovery_s=recovery_s, duplicates_at_most=0, deaths=0)
    return observed.also(
        f"{stormy:.0f} finals a second in the storm, {calm:.0f} in the calm" if stormy < LEAST_SHARE * calm else "",
        f"no final for {gap_s:.1f} s" if gap_s > LONGEST_GAP_S else "",
        notes=(
            f"{stormy / calm:.2f} of the calm throughput ({calm:.0f} a second)",
            f"longest gap {gap_s:.1f} s",
            f"{left} left, {len(changes) - left} joined",
        ),
    )


async def _at(when: float, rig: Rig, role: str) -> str:
    await asyncio.sleep(max(0.0, when - time.time()))
    return await toggle(rig, role, 1)


def _longest_gap_s(rig: Rig, since: float, until: float) -> float:
    read = [finals[0].read_at for finals in rig.seen.finals.values() if since <= finals[0].read_at < until]
    times = sorted([since, *read, until])
    return max(after - before for before, after in pairwise(times))


CASES = [Case("F6", "a member comes or goes every 3 s for a minute", storm)]
