"""F3, F7, F10: processes that stand still, are given up by their group, and go on."""

import asyncio
import signal
import time
from functools import partial

from tests.fault.case import Case, Observed, StackSpec
from tests.fault.cases._lanes import fenced, ping_pong, producer_starts
from tests.fault.cases._log_ends import changelog_partitions, log_ends, stop_within_transaction
from tests.fault.cases._members import Membership
from tests.fault.rig import Rig

PER_S, AT_MOST = 30.0, 3_000
SESSION_S = 6.0
STOPPED_S, BLOCKED_S = 20.0, 15.0
STARTS = 2
"""Of a lane's producer, a fault: one of the member that takes over, one when the lanes are shared anew."""
SETTLED_S = 8.0
"""After a process goes on: longer than the longest pause between two memberships, so that a ping-pong would show."""

HELD_S = 12.5
"""The rig's transactions time out after 10 s."""
PATIENT = StackSpec(session_timeout_ms=30_000)
"""The transaction times out while its owner still belongs to the group."""


async def zombie(rig: Rig) -> Observed:
    """A dispatcher stands still within a transaction, longer than its session, and then goes on with it."""
    async with rig.load(AT_MOST, per_s=PER_S) as load:
        await rig.flowing(40)
        lane = await stop_within_transaction(rig)
        stopped_at = time.time()
        async with Membership(rig, "dispatch") as members:
            await asyncio.sleep(STOPPED_S)
            alone = members.fewest(stopped_at)
            back_at = time.time()
            await rig.fleet.send("dispatch", signal.SIGCONT)
            rejoined = await members.until(2, within_s=SESSION_S + 5)
            await asyncio.sleep(SETTLED_S)
            load.stop()
    recovery_s = await rig.caught_up(stopped_at)
    starts, refused = producer_starts(rig, since=stopped_at), fenced(rig, since=back_at)
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=SESSION_S + 5, duplicates_at_most=0, deaths=0)
    return observed.also(
        _no_estimates(observed),
        "" if alone == 1 else f"the group kept {alone} members while one stood still",
        "" if rejoined else "the process that stood still did not join again",
        "" if refused else "the process that stood still was not fenced",
        ping_pong(starts, STARTS),
        notes=(f"lane {lane} stopped within a transaction", f"producer starts {sorted(starts.values())}"),
    )


async def blocked(rig: Rig, *, role: str, fault: str) -> Observed:
    """The event loop of one member hangs for longer than its session: no heartbeat, no commit, no answer; then it goes on."""
    point = fault.partition(":")[0]
    async with rig.load(AT_MOST, per_s=PER_S) as load, Membership(rig, role) as members:
        await rig.flowing(40)
        before = members.samples[-1][1]
        acted = await rig.kill_at(f"{fault}:delay={BLOCKED_S * 1000:.0f}")
        await asyncio.sleep(BLOCKED_S)
        fewest, back_at = members.fewest(acted.at), time.time()
        rejoined = await members.until(before, within_s=SESSION_S + 5)
        await asyncio.sleep(1)
        load.stop()
    recovery_s = await rig.caught_up(acted.at)
    starts, refused = producer_starts(rig, since=acted.at), fenced(rig, since=back_at - 1)
    worker = point in {"K5", "K9"}
    held = {c for c in rig.held_by(acted.pid, acted.at) if rig.seen.started[c].reported_at.timestamp() <= acted.at}
    observed = await rig.conclude(
        recovery_s=recovery_s, recovery_limit_s=SESSION_S + 5, duplicates_at_most=len(held) if worker else 0, deaths=0
    )
    dispatcher = role == "dispatch"
    return observed.also(
        "" if worker else _no_estimates(observed),
        "" if fewest < before else f"the group kept {fewest} members while one hung",
        "" if rejoined else "the process that hung did not join again",
        "the lane that hung was not fenced" if dispatcher and not refused else "",
        ping_pong(starts, STARTS),
        notes=(f"producer starts {sorted(starts.values())}",) if dispatcher else (),
    )


async def held_too_long(rig: Rig) -> Observed:
    """A transaction is open for longer than its timeout, and its owner goes on as if nothing had been."""
    async with rig.load(AT_MOST, per_s=PER_S) as load, log_ends(rig) as ends:
        await rig.flowing(40)
        lane = await stop_within_transaction(rig)
        stopped_at = time.time()
        partition = changelog_partitions(rig)[lane]
        await asyncio.sleep(HELD_S)
        still_open = await ends.open_ones([partition])
        back_at = time.time()
        await rig.fleet.send("dispatch", signal.SIGCONT)
        first_s = await rig.recovered(back_at)
        await asyncio.sleep(SETTLED_S)
        load.stop()
    recovery_s = await rig.caught_up(back_at)
    starts, refused = producer_starts(rig, since=stopped_at), fenced(rig, since=back_at)
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=SESSION_S + 5, duplicates_at_most=0, deaths=0)
    return observed.also(
        _no_estimates(observed),
        f"the broker had not ended the transaction after {HELD_S:g} s" if still_open else "",
        "" if refused else "the owner of the transaction was not fenced",
        ping_pong(starts, STARTS),
        notes=(f"first final after {first_s:.1f} s", f"producer starts {sorted(starts.values())}"),
    )


def _no_estimates(observed: Observed) -> str:
    """No worker was concerned: what the log knows of their calls comes before what the clock says."""
    return f"{observed.estimated} calls were charged as estimates, though no worker stood still" if observed.estimated else ""


CASES = [
    Case("F3", "SIGSTOP of a dispatcher for 20 s within a transaction", zombie),
    Case("F7", "a dispatcher's event loop hangs for 15 s", partial(blocked, role="dispatch", fault="K2:15")),
    Case("F7-intake", "an intake's event loop hangs for 15 s", partial(blocked, role="intake", fault="K1:10")),
    Case("F7-calls", "a worker's event loop hangs for 15 s", partial(blocked, role="calls:openai", fault="K9:15")),
    Case("F10", "a transaction is held past its timeout of 10 s", held_too_long, stack=PATIENT),
]
