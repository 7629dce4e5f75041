"""The cases that take seconds, once each: nothing lost, nothing doubled, every call in the ledger. `make faults` runs all."""

import pytest
import pytest_asyncio

from schemas.serde import Serde
from streams import topics
from tests.fault.case import FAST, Case, Observed
from tests.fault.cases import all_cases
from tests.fault.cases.k import STACK
from tests.fault.rig import Rig
from tests.fault.runner import Benches, grouped

CASES = grouped(case for case in all_cases() if FAST in case.tags)
FIRST = {"K1", "K2", "K7", "K9"}
"""The points whose loss costs most, one of each role and the two about a call; `make test-slow` has the others."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def benches():
    async with Benches() as benches:
        yield benches


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.id} {case.title}", marks=() if case.id in FIRST or case.id[0] != "K" else pytest.mark.slow)
        for case in CASES
    ],
)
async def test_a_fault_loses_nothing_and_doubles_nothing(benches: Benches, case: Case):
    bench = await benches.of(case.stack)
    observed = await bench.repeat(case)
    kept = await benches.give_up() if observed.problems else None
    assert not observed.problems, f"data and logs: {kept}"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_planted_break_is_found(benches: Benches):
    """A second final, written past the dispatcher: the rig must be able to say no."""
    bench = await benches.of(STACK)
    observed = await bench.repeat(Case("planted", "a second final", _second_final))
    await benches.give_up()
    assert any("duplicate_final" in problem for problem in observed.problems), observed
    assert any("two finals" in problem for problem in observed.problems), observed


async def _second_final(rig: Rig) -> Observed:
    async with rig.load(5, per_s=20) as load:
        await rig.flowing(5)
    final = rig.first_final(next(iter(load.acknowledged))).response
    await rig.publish_raw(topics.RESPONSES, Serde().encode(final), key=final.request_id)
    return await rig.conclude(check_wait_s=0)
