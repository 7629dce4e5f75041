"""What was judged within the last day is in the metrics of the process that acts, by model, also after a restart."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.request import urlopen

import pytest

from schemas.feedback import FeedbackGiven
from schemas.ledger import CostEvent, CostKind, PricingStatus
from streams import clock, topics
from streams.metrics import serving
from streams.publisher import Outgoing
from tests.contract.records import EXAMPLES
from tests.integration.health.conftest import Fleet, until

pytestmark = [pytest.mark.stack, pytest.mark.slow]


@pytest.fixture
def port(fleet: Fleet) -> Iterator[int]:
    with serving(fleet.settings.model_copy(update={"metrics_port": 0})) as port:
        assert port is not None
        yield port


@pytest.fixture
def models(fleet: Fleet) -> tuple[str, str]:
    """The catalogue's two, by names that no other test has: all metrics of a process are the same for every test."""
    path = fleet.settings.deployments_file
    assert path is not None
    names = (f"busy-{fleet.provider}", f"idle-{fleet.provider}")
    path.write_text(path.read_text().replace("model: busy", f"model: {names[0]}").replace("model: idle", f"model: {names[1]}"))
    return names


async def shown(port: int) -> dict[str, float]:
    """The gauge by model, as a scrape has it."""

    def scrape() -> str:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as reply:
            found: bytes = reply.read()
        return found.decode()

    lines = [line for line in (await asyncio.to_thread(scrape)).splitlines() if line.startswith("ai_model_accuracy{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


async def judge(fleet: Fleet, *given: FeedbackGiven) -> None:
    codec = fleet.runtime.serde.of(FeedbackGiven)
    await fleet.runtime.publisher.send_all([Outgoing(topics.FEEDBACK, g.request_id, codec.encode(g)) for g in given])


async def charge(fleet: Fleet, request_id: str, model: str) -> None:
    """The line of the call that answered."""
    line = replace(
        EXAMPLES["CostEvent"], kind=CostKind.CALL, request_id=request_id, tenant=fleet.provider, provider=fleet.provider,
        model=model, pricing_status=PricingStatus.PRICED, wasted=False,
    )  # fmt: skip
    await fleet.runtime.publisher.send_all(
        [Outgoing(topics.COSTS, fleet.provider, fleet.runtime.serde.of(CostEvent).encode(line))]
    )


def feedback(fleet: Fleet, request_id: str, **said: object) -> FeedbackGiven:
    made = {"source": "user", "given_at": clock.now()} | said
    return FeedbackGiven(request_id, fleet.provider, **made)


async def test_judged_answers_are_shown_by_model_and_again_after_a_restart(
    fleet: Fleet, models: tuple[str, str], port: int
) -> None:
    busy, idle = models
    named, answered = f"{fleet.provider}/{busy}", f"r-{uuid.uuid4()}"
    await charge(fleet, answered, idle)
    await judge(
        fleet,
        feedback(fleet, "r1", correct=True, deployment=named),
        feedback(fleet, "r2", correct=True, deployment=named),
        feedback(fleet, "r3", score=0.25, deployment=named),
        feedback(fleet, "r4", correct=False, deployment=named, given_at=clock.now() - timedelta(days=2)),
        feedback(fleet, "r5", correct=False, deployment="nobody/knows-it"),
        feedback(fleet, answered, correct=False),
        feedback(fleet, "r-without-an-answer", correct=True),
    )

    async def stands(**wanted: float) -> bool:
        found = await shown(port)
        return {name: found.get(name) for name in models} == {busy: wanted["busy"], idle: wanted["idle"]}

    async with fleet.watching():
        await until(lambda: stands(busy=0.75, idle=0.0))
        # An answer that is judged while the process looks on, the judgement before its line in the ledger and after it.
        later = f"r-{uuid.uuid4()}"
        await judge(fleet, feedback(fleet, later, correct=True))
        await charge(fleet, later, idle)
        await until(lambda: stands(busy=0.75, idle=0.5))
        await judge(fleet, feedback(fleet, later, score=0.5), feedback(fleet, "r6", correct=False, deployment=named))
        await until(lambda: stands(busy=0.5625, idle=0.5))
    assert not set(models) & set(await shown(port)), "who no longer acts says nothing"
    async with fleet.watching():
        await until(lambda: stands(busy=0.5625, idle=0.5))


async def test_of_two_members_one_shows(fleet: Fleet, models: tuple[str, str], port: int) -> None:
    named = f"{fleet.provider}/{models[0]}"
    await judge(fleet, feedback(fleet, "r1", correct=True, deployment=named))
    async with fleet.watching(members=2) as members:
        await until(lambda: _shows(port, models[0]))
        members[0].cancel()
        await asyncio.wait({members[0]})
        await judge(fleet, feedback(fleet, "r2", correct=False, deployment=named))
        await until(lambda: _shows(port, models[0], 0.5))


async def _shows(port: int, model: str, share: float = 1.0) -> bool:
    return (await shown(port)).get(model) == share
