"""F4, F5: an orderly stop, under load and with a call that outlasts it."""

import asyncio
import signal
import time
from dataclasses import replace

from schemas.calls import Billing, CallPhase, FailureKind
from tests.fault.case import ANTHROPIC, CALM, OPENAI, Case, Observed, StackSpec, deployments
from tests.fault.load import mixed
from tests.fault.rig import Rig

EXIT_WITHIN_S = 30.0
SLOW_S, LONG_S = 8.0, 600.0


async def rolling(rig: Rig) -> Observed:
    """SIGTERM of one process of every role at once, with calls of 8 s under way: all of them finish, nothing is repeated."""
    roles = [role for role, count in rig.fleet.spec.roles.items() if count > 1]
    async with rig.load(240, per_s=20):
        await rig.flowing(40)
        await rig.profile(OPENAI, {**CALM, "first_token_ms": SLOW_S * 1000})
        await rig.seen.until(lambda: rig.in_flight() >= 30, 10)
        await rig.calm()
        in_flight, at = rig.in_flight(), time.time()
        ended = await asyncio.gather(*(rig.fleet.end(role, signal.SIGTERM) for role in roles))
    observed = await rig.conclude(recovery_s=await rig.recovered(at), duplicates_at_most=0, deaths=len(roles))
    return observed.also(
        *(f"{r} exited with {e.exit_code}" for r, e in zip(roles, ended, strict=True) if e.exit_code != 0),
        *(f"{r} took {e.took_s:.1f} s to exit" for r, e in zip(roles, ended, strict=True) if e.took_s > EXIT_WITHIN_S),
        f"{observed.estimated} calls were charged as estimates" if observed.estimated else "",
        notes=(f"{in_flight} calls in flight at SIGTERM", f"slowest exit {max(e.took_s for e in ended):.1f} s"),
    )


async def outlasted(rig: Rig) -> Observed:
    """SIGTERM with a call of ten minutes under way: it is cut off, reported as what may have been billed, and made again."""
    await rig.profile(ANTHROPIC, {**CALM, "first_token_ms": LONG_S * 1000})
    async with rig.load(1, per_s=1, make=lambda name, n: mixed(name, n + 4)):
        if not await rig.seen.until(lambda: rig.in_flight() == 1, 20):
            return Observed(requests=1, problems=("the call was not started",))
        (call_id,) = rig.seen.started
        await asyncio.sleep(1)
        await rig.calm()
        ended = await rig.fleet.end("calls:anthropic", signal.SIGTERM)
    observed = await rig.conclude(duplicates_at_most=0, deaths=1)
    report = rig.seen.ended.get(call_id)
    lines = [event for event in rig.seen.costs[rig.seen.started[call_id].request_id] if event.call_id == call_id]
    failure = None if report is None else report.failure
    indeterminate = failure is not None and (failure.kind, failure.billing) == (FailureKind.CANCELLED, Billing.UNKNOWN)
    return observed.also(
        "" if ended.exit_code == 0 else f"exited with {ended.exit_code}",
        f"took {ended.took_s:.1f} s to exit" if ended.took_s > EXIT_WITHIN_S else "",
        "" if report is not None and report.phase is CallPhase.FAILED and indeterminate else f"the call was reported as {report}",
        "" if [event.estimated for event in lines] == [True] else f"the call was charged as {lines}",
        notes=(f"exit after {ended.took_s:.1f} s",),
    )


CASES = [
    Case(
        "F4",
        "SIGTERM under load",
        rolling,
        stack=replace(StackSpec(), catalogue=deployments(timeout_s=20.0)),
    ),
    Case(
        "F5",
        "SIGTERM with a call of ten minutes",
        outlasted,
        stack=StackSpec(catalogue=deployments(timeout_s=900.0), settings={"request_timeout_s": 1_200.0}),
    ),
]
