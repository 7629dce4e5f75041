"""F23: the schema registry away, at the start of intake and when a new schema id comes."""

import asyncio
import time
import uuid
from io import BytesIO
from typing import Any

import fastavro
from aiokafka import AIOKafkaProducer

from schemas.catalogue import builtin
from schemas.outcomes import ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message
from schemas.serde import HEADER_BYTES, Serde
from streams import topics
from tests.fakes.registry import FakeRegistry, with_field
from tests.fault.case import PROVIDERS, Case, Observed, StackSpec
from tests.fault.cases._parts import checker_asks, other_environment, teach
from tests.fault.rig import Rig

DOWN_AT_START_S, WAITING_S = 4.0, 4.0
NEW, KNOWN, PER_S = 10, 120, 40.0
SUBJECT = f"{topics.REQUESTS}-value"
NOBODYS_ID = 9_999
ANSWERED_WITHIN_S = 45.0
_TEXT = next(s.text for s in builtin().values() if s.name == "InferenceRequest")
_ENCODE = Serde().of(InferenceRequest).encode


async def registry_away(rig: Rig) -> Observed:
    """Intake starts while it is away; later a new id comes while it is away; all others are answered meanwhile."""
    async with FakeRegistry(PROVIDERS) as registry:
        await registry.stop()
        back = asyncio.create_task(_back(registry, DOWN_AT_START_S))
        begun = time.monotonic()
        async with other_environment(rig, {"intake": {"SCHEMA_REGISTRY_URL": registry.url}}):
            await back
            started_s = time.monotonic() - begun
            return (await _with_new_ids(rig, registry)).also(
                "" if started_s >= DOWN_AT_START_S else f"intake was ready after {started_s:.1f} s, without the registry",
                notes=(f"intake ready after {started_s:.1f} s",),
            )


async def _with_new_ids(rig: Rig, registry: FakeRegistry) -> Observed:
    names = [uuid.uuid4().hex[:8] for _ in range(3)]
    async with rig.load(KNOWN, per_s=PER_S):
        await rig.flowing(20)
        learnt = await _publish(rig, _registered(rig, registry, with_field(_TEXT, "hint")), names[0], extra=True)
        nobodys = await _publish(rig, NOBODYS_ID, names[1], extra=False)
        at_once = await rig.seen.until(lambda: all(r in rig.seen.finals for r in learnt + nobodys), ANSWERED_WITHIN_S)
    unheard = _registered(rig, registry, with_field(with_field(_TEXT, "hint"), "second_hint"))
    await registry.stop()
    waiting = await _publish(rig, unheard, names[2], extra=True)
    begun = time.time()
    async with rig.load(KNOWN, per_s=PER_S) as known:
        pass
    known_s = await rig.caught_up(time.time())
    await asyncio.sleep(max(0.0, begun + WAITING_S - time.time()))
    early = [r for r in waiting if r in rig.seen.finals]
    letters = len(rig.seen.dead_letters)
    await registry.start()
    back = time.time()
    answered = await rig.seen.until(lambda: all(r in rig.seen.finals for r in waiting), ANSWERED_WITHIN_S)
    recovery_s = time.time() - back
    with checker_asks(rig, registry.url):
        observed = await rig.conclude(
            recovery_s=recovery_s, dead_letters=NEW, other_finals=3 * NEW, duplicates_at_most=0, deaths=0
        )
    return observed.also(
        "" if at_once else "a registered id was not learnt, or a nobody's not refused, in time",
        *_ended_otherwise(rig, [*learnt, *waiting, *known.acknowledged], ResponseStatus.OK),
        *_ended_otherwise(rig, nobodys, ResponseStatus.ERROR),
        f"{len(early)} requests of an id that could not be asked about were answered: {early}" if early else "",
        f"{letters} dead letters while the registry was away, {NEW} expected" if letters != NEW else "",
        "" if {letter.reason for letter in rig.seen.dead_letters} == {"unknown_schema"} else "a dead letter has another reason",
        "" if answered else f"{sum(r in rig.seen.finals for r in waiting)} of {NEW} that waited were answered in time",
        notes=(f"known ids answered {known_s:.1f} s after the last, without the registry",),
    )


def _registered(rig: Rig, registry: FakeRegistry, text: str) -> int:
    schema_id = registry.register(SUBJECT, text)
    teach(rig, schema_id, text)
    return schema_id


async def _back(registry: FakeRegistry, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await registry.start()


async def _publish(rig: Rig, schema_id: int, name: str, *, extra: bool) -> list[str]:
    """Requests under an id of the sender's own; `extra`: with the fields that the newer schemas have after ours."""
    values = {f"{name}-{n}": _newer(f"{name}-{n}", schema_id, extra=extra) for n in range(NEW)}
    producer = AIOKafkaProducer(bootstrap_servers=rig.stack.bootstrap_servers)
    await producer.start()
    try:
        for value in values.values():
            await producer.send_and_wait(topics.REQUESTS, value, key=b"tenant-0")
    finally:
        await producer.stop()
    return list(values)


def _newer(request_id: str, schema_id: int, *, extra: bool) -> bytes:
    asked = InferenceRequest(
        request_id, "tenant-0", "auto", messages=(Message("user", "[[sim out=8]] Hello"),), cache=CachePolicy(CacheMode.OFF)
    )
    fields = 0 if not extra else schema_id - 1_000
    return b"\x00" + schema_id.to_bytes(4, "big") + _ENCODE(asked)[HEADER_BYTES:] + _text("why not") * fields


def _text(text: str) -> bytes:
    """A nullable string that is there."""
    out = BytesIO()
    schema: Any = ["null", "string"]
    fastavro.schemaless_writer(out, schema, text)
    return out.getvalue()


def _ended_otherwise(rig: Rig, request_ids: list[str], status: ResponseStatus) -> list[str]:
    found = [rig.first_final(r).response for r in request_ids if r in rig.seen.finals]
    wrong = [response for response in found if response.status is not status]
    return [f"{len(wrong)} requests ended otherwise than {status}, {wrong[0].status}: {wrong[0].error}"] if wrong else []


CASES = [
    Case(
        "F23",
        "the schema registry away, at a start and at a new id",
        registry_away,
        # A stack of its own: what others check they check without a registry.
        stack=StackSpec(settings={"drain_timeout_s": 10.0}),
    )
]
