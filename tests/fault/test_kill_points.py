"""kill -9 at the points that hurt, once each, under load: nothing lost, nothing doubled, every call in the ledger."""

import pytest
import pytest_asyncio

from tests.fault.conftest import PROVIDER, FaultRig, fault_rig

REQUESTS, PER_S = 150, 60.0

# point, role, at which passing; whether the call under way was made at the provider, and so is charged as an estimate.
CASES = [
    pytest.param("K2", "dispatch", 20, False, id="K2 dispatcher: folded, before commit"),
    pytest.param("K4", "dispatch", 20, False, id="K4 dispatcher: committed, before the next cycle"),
    pytest.param("K6", f"calls:{PROVIDER}", 40, True, id="K6 worker: STARTED acknowledged, before the request is sent"),
    pytest.param("K9", f"calls:{PROVIDER}", 40, True, id="K9 worker: whole response, before COMPLETED is acknowledged"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(folder):
    async with fault_rig(folder) as rig:
        yield rig


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("point", "role", "nth", "estimates"), CASES)
async def test_a_kill_loses_nothing_and_doubles_nothing(rig: FaultRig, point, role, nth, estimates):
    before = await rig.verdict()
    assert before.ok, before.line()
    await rig.arm(role, f"{point}:{nth}:kill")
    await rig.publish(REQUESTS, per_s=PER_S)
    await rig.until_acted(20)
    verdict = await rig.verdict()
    print(point, verdict.line())
    assert verdict.ok, (verdict.line(), verdict.problems)
    assert verdict.acknowledged - before.acknowledged == verdict.final - before.final == REQUESTS
    # Every call that was under way when the worker died is charged, by its bounds; a dispatcher's death concerns no call.
    assert (verdict.estimated > before.estimated) is estimates, "a lost call is never free"
    assert verdict.duplicate_calls - before.duplicate_calls <= 64, "crashes x calls in flight at most"
