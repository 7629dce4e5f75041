"""F1-reconciled: workers die with calls under way, and the provider's log then says what these were worth."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import orjson

from streams.embedded.plan import environment_of
from tests.fault.case import Case, Observed, StackSpec
from tests.fault.rig import Rig

POINTS = ("K6:15", "K8:10", "K9:15")
STACK = StackSpec(session_timeout_ms=3_000)
_HOME = Path(__file__).resolve().parents[3]


async def reconciled(rig: Rig) -> Observed:
    """After `penstock reconcile` no estimate is open and both sides count the same tokens; a second run posts nothing."""
    async with rig.load(400, per_s=60):
        await rig.flowing(10)
        acted = [await rig.kill_at(point) for point in POINTS]
    await rig.drained()
    held = set().union(*(rig.held_by(one.pid, one.at) for one in acted))
    first, second = await _reconcile(rig), await _reconcile(rig)
    observed = await rig.conclude(duplicates_at_most=len(held), deaths=len(POINTS))
    verdict = rig.verdict()
    provider = (verdict.provider_input_tokens, verdict.provider_output_tokens)
    ledger = (verdict.ledger_input_tokens, verdict.ledger_output_tokens)
    return observed.also(
        "" if first["adjustments"] else "nothing was adjusted, though workers died with calls under way",
        f"the second run asked for {second['asked']} adjustments" if second["asked"] else "",
        "" if second["clean"] else f"both sides do not agree afterwards: {second['left']}",
        f"{verdict.open_estimates} estimates are open afterwards" if verdict.open_estimates else "",
        "" if provider == ledger else f"the provider counts {provider} tokens, the ledger {ledger}",
        notes=(f"{first['adjustments']} adjusted",),
    )


async def _reconcile(rig: Rig) -> dict[str, Any]:
    """The command as a process of its own, with the simulator's whole log as the export."""
    argv = [sys.executable, "-P", "-m", "streams.cli.main", "reconcile", "--json", "--complete", "--margin", "0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
    environment |= {"PYTHONPATH": str(_HOME), **environment_of(rig.stack.settings)}
    process = await asyncio.create_subprocess_exec(
        *argv,
        "--provider-usage",
        str(rig.stack.simulator_log),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await process.communicate()
    if process.returncode not in {0, 1}:
        raise RuntimeError(f"penstock reconcile ended with {process.returncode}: {complained.decode(errors='replace')[-500:]}")
    answer: dict[str, Any] = orjson.loads(said)
    return answer


CASES = [Case("F1-reconciled", "workers die, and the provider's log makes actuals of the estimates", reconciled, stack=STACK)]
