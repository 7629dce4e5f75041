"""F28: a rolling restart to a version whose records have one more optional field."""

import asyncio
from collections.abc import Mapping

from schemas.outcomes import ResponseStatus
from streams import topics
from tests.fakes.registry import FakeRegistry
from tests.fault.case import PROVIDERS, Case, Observed, StackSpec
from tests.fault.cases._newer_version import RECORDS, make_package, text_of, written_by_newer
from tests.fault.cases._parts import all_children, checker_asks, restart, teach
from tests.fault.cases._replay import committed
from tests.fault.rig import Rig

PER_S, AT_MOST, BOTH_LIVE_S = 30.0, 3_000, 4.0
TOPICS: Mapping[str, tuple[str, ...]] = {
    "RequestRouted": (topics.ROUTED,),
    "CallOrdered": tuple(topics.calls(provider) for provider in PROVIDERS),
    "CallReported": (topics.ATTEMPTS,),
    "DispatchChange": (topics.CHANGELOG,),
}
FIRST = ("intake-0", "calls:openai-0", "dispatch-0")
THEN = ("calls:openai-1", "calls:anthropic-0", "dispatch-1", "intake-1", "tables-0")


async def rolling_upgrade(rig: Rig) -> Observed:
    """Process after process becomes the newer version, under load; for a while both work, each reading what the other wrote."""
    package = make_package(rig.fleet.folder)
    async with FakeRegistry(PROVIDERS) as registry:
        children = {c.name: c for c in all_children(rig) if c.name.rpartition("-")[0] in rig.fleet.spec.roles}
        await asyncio.gather(*(restart(child, {"SCHEMA_REGISTRY_URL": registry.url}) for child in children.values()))
        for record in RECORDS:
            for topic in TOPICS[record]:
                teach(rig, registry.register(f"{topic}-value", text_of(record)), text_of(record))
        async with rig.load(AT_MOST, per_s=PER_S) as load:
            await rig.flowing(20)
            for name in FIRST:
                await restart(children[name], _newer(children[name].part.environment, str(package)))  # type: ignore[attr-defined]
            await asyncio.sleep(BOTH_LIVE_S)
            answered = len(rig.seen.finals)
            await asyncio.sleep(BOTH_LIVE_S)
            while_both = len(rig.seen.finals) - answered
            for name in THEN:
                await restart(children[name], _newer(children[name].part.environment, str(package)))  # type: ignore[attr-defined]
            await rig.flowing(len(rig.seen.finals) + 30)
            load.stop()
        await rig.drained(within_s=60)
        with checker_asks(rig, registry.url):
            observed = await rig.conclude()
        newer = {record: await _written_by_both(rig, record) for record in RECORDS}
    statuses = [rig.first_final(r).response.status for r in load.acknowledged if r in rig.seen.finals]
    wrong = [status for status in statuses if status is not ResponseStatus.OK]
    return observed.also(
        f"{len(wrong)} requests ended otherwise than ok, {wrong[0]} for one" if wrong else "",
        f"{while_both} finals in {BOTH_LIVE_S:g} s with both versions live" if while_both < PER_S * BOTH_LIVE_S / 2 else "",
        *(f"{record} was not written by both versions: {counts}" for record, counts in newer.items() if not all(counts)),
        notes=(
            f"{len(rig.fleet.exits)} older processes met a newer record and started anew",
            f"{while_both} finals in {BOTH_LIVE_S:g} s with both versions live",
        ),
    )


def _newer(environment: Mapping[str, str], package: str) -> dict[str, str]:
    return {"PYTHONPATH": f"{package}:{environment['PYTHONPATH']}"}


async def _written_by_both(rig: Rig, record: str) -> tuple[int, int]:
    """How many records of the kind the older and the newer version have written."""
    values = [r.value for topic in TOPICS[record] for r in await committed(rig, topic) if r.value is not None]
    newer = sum(written_by_newer(value) for value in values)
    return len(values) - newer, newer


CASES = [
    Case(
        "F28",
        "a rolling restart to a version with one more optional field",
        rolling_upgrade,
        # A stack of its own, for one repeat: it stays the newer version's, which others cannot check.
        stack=StackSpec(settings={"drain_timeout_s": 5.0, "request_timeout_s": 90.0}),
        repeats_at_most=1,
    )
]
