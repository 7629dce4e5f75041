"""F11: what the broker refuses: a record that is too large, a topic that is gone, a permission that was taken."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition

from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest, Message, Sampling
from streams import topics
from streams.bootstrap import create_topics
from tests.fault.case import ANTHROPIC, CALM, OPENAI, Case, Observed, StackSpec, deployments
from tests.fault.cases._lanes import failures
from tests.fault.cases._log_ends import log_ends
from tests.fault.cases._permissions import AUTHORIZED, admin_of, give_back_permission, set_topic_config, take_write_permission
from tests.fault.load import mixed
from tests.fault.rig import Rig

PER_S, AT_MOST = 20.0, 2_000
REFUSED_S = 8.0
SAID_WITHIN_S = 20.0
BACK_WITHIN_S = 25.0
"""From the permission on: the longest pause of a process that ended again and again, its start, and 5 s."""

LARGEST_ANSWER_BYTES = 30_000
LARGE_TOKENS = 20_000
LONG_ANSWERS = {**CALM, "per_token_ms": 0.0}

GONE_WITHIN_S = 60.0


def _catalogue() -> Mapping[str, object]:
    catalogue = deployments()
    return {**catalogue, "deployments": [{**d, "max_output_tokens": LARGE_TOKENS} for d in catalogue["deployments"]]}


STACK = StackSpec(broker=AUTHORIZED, catalogue=_catalogue())


async def too_large(rig: Rig) -> Observed:
    """A topic takes no record as large as one answer: the lane says so and stands before it, and goes on when the topic does."""
    topic = topics.all_topics(rig.fleet.spec.providers)[topics.RESPONSES]
    await rig.profile(OPENAI, LONG_ANSWERS)
    async with admin_of(rig) as admin, rig.load(AT_MOST, per_s=PER_S, make=_short) as load:
        await rig.flowing(20)
        refused_at = time.time()
        await set_topic_config(admin, topic.name, topic.broker_config() | {"max.message.bytes": str(LARGEST_ANSWER_BYTES)})
        try:
            async with rig.load(1, per_s=1, make=_large) as large:
                said = await _until(lambda: any("TooLarge" in e for e in failures(rig, since=refused_at)), SAID_WITHIN_S)
            stuck = await _not_passed(rig, admin)
            answered = [r for r in large.acknowledged if r in rig.seen.finals]
            others = sum(finals[0].read_at > refused_at + 2 for finals in rig.seen.finals.values())
        finally:
            await set_topic_config(admin, topic.name, topic.broker_config())
        back_at = time.time()
        load.stop()
    recovery_s = await rig.caught_up(back_at)
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=BACK_WITHIN_S, duplicates_at_most=0, deaths=0)
    return observed.also(
        "" if said else "no lane said that a record is too large",
        "" if stuck else "no lane stands before the record: its offset was passed",
        f"{len(answered)} answers were written that the topic cannot hold" if answered else "",
        *_not_ok(rig, [*load.acknowledged, *large.acknowledged]),
        notes=(f"{len(failures(rig, since=refused_at))} times said", f"{others} finals of others meanwhile"),
    )


async def not_permitted(rig: Rig, *, topic: str, role: str) -> Observed:
    """Nobody may write the topic that a role writes: it says so, passes nothing, and goes on once it may."""
    async with admin_of(rig) as admin, rig.load(AT_MOST, per_s=PER_S, make=_short) as load:
        await rig.flowing(20)
        refused_at = time.time()
        await take_write_permission(admin, topic)
        try:
            said = await _until(lambda: "AuthorizationFailed" in rig.log_text(role), SAID_WITHIN_S)
            quiet_at = time.time()
            await asyncio.sleep(REFUSED_S)
            passed = sum(_late(rig, load.sent_at, refused_at + 1))
        finally:
            await give_back_permission(admin, topic)
        back_at = time.time()
        await rig.recovered(back_at)
        load.stop()
    recovery_s = await rig.caught_up(back_at)
    observed = await rig.conclude(recovery_s=recovery_s, recovery_limit_s=BACK_WITHIN_S, duplicates_at_most=None)
    return observed.also(
        "" if said else f"{role} does not say that it may not write {topic}",
        f"{passed} requests of the time without permission were answered meanwhile" if passed else "",
        *_not_ok(rig, load.acknowledged),
        notes=(
            f"said after {quiet_at - refused_at:.1f} s",
            f"{len(rig.fleet.exits)} process ends",
            f"{observed.duplicate_calls} twice",
        ),
    )


async def topic_gone(rig: Rig) -> Observed:
    """The topic of one provider's orders is deleted: its requests get an error that says so, others are answered, and once the
    topic is made again it is used."""
    gone = topics.calls(ANTHROPIC)
    async with admin_of(rig) as admin, rig.load(AT_MOST, per_s=PER_S, make=_short) as load:
        await rig.flowing(20)
        deleted_at = time.time()
        await admin.delete_topics([gone])
        async with rig.load(10, per_s=20, make=_pinned) as pinned:
            pass
        ended = await rig.seen.until(lambda: all(r in rig.seen.finals for r in pinned.acknowledged), GONE_WITHIN_S)
        took_s = time.time() - deleted_at
        await create_topics(rig.stack.settings, rig.fleet.spec.providers)
        await asyncio.sleep(5)
        async with rig.load(10, per_s=20, make=_pinned) as again:
            pass
        back = await rig.seen.until(lambda: all(r in rig.seen.finals for r in again.acknowledged), GONE_WITHIN_S)
        load.stop()
    recovery_s = await rig.caught_up(time.time())
    rig.offsets.samples = [s for s in rig.offsets.samples if s.partition.topic != gone]  # they begin anew with the topic
    observed = await rig.conclude(recovery_s=recovery_s, deaths=0)
    statuses = sorted({rig.first_final(r).response.status for r in pinned.acknowledged if r in rig.seen.finals})
    return observed.also(
        "" if failures(rig, since=deleted_at) else "no lane said that its transaction cannot end",
        "" if statuses == [ResponseStatus.ERROR] else f"requests to a provider without a topic ended as {statuses}",
        "" if ended else f"requests to a provider without a topic have no final after {GONE_WITHIN_S:g} s",
        "" if back else "the topic was made again and is not used",
        *_not_ok(rig, [*load.acknowledged, *again.acknowledged]),
        notes=(f"finals {statuses} after {took_s:.1f} s", f"{failures(rig, since=deleted_at)[:1]}"),
    )


async def _not_passed(rig: Rig, admin: AIOKafkaAdminClient) -> list[TopicPartition]:
    """Lanes that do not move, though there is something to read."""
    attempts = [TopicPartition(topics.ATTEMPTS, p) for p in range(rig.stack.settings.partitions)]
    group = rig.stack.settings.group("dispatch")
    before = await admin.list_consumer_group_offsets(group, partitions=attempts)
    await asyncio.sleep(REFUSED_S)
    after = await admin.list_consumer_group_offsets(group, partitions=attempts)
    async with log_ends(rig) as ends:
        end = await ends.ends(attempts)
    return [tp for tp in attempts if before[tp].offset == after[tp].offset < end[tp]]


async def _until(condition: Callable[[], bool], within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.2)
    return True


def _late(rig: Rig, sent_at: Mapping[str, float], since: float) -> Iterable[bool]:
    return (sent_at[r] > since for r in rig.seen.finals if r in sent_at)


def _short(name: str, number: int) -> InferenceRequest:
    """Never Anthropic's: its topic is one that a case deletes."""
    return replace(mixed(name, number), preferences=mixed(name, 0).preferences)


def _pinned(name: str, number: int) -> InferenceRequest:
    return replace(mixed(name, number), preferences=mixed(name, 4).preferences, stream=False)


def _large(name: str, number: int) -> InferenceRequest:
    ask = Message("user", f"[[sim out={LARGE_TOKENS - 100}]] A long answer to {name}-{number}")
    return replace(_short(name, number), messages=(ask,), stream=False, sampling=Sampling(max_output_tokens=LARGE_TOKENS))


def _not_ok(rig: Rig, request_ids: Iterable[str]) -> list[str]:
    wrong = [s for r in request_ids if (s := rig.first_final(r).response.status) is not ResponseStatus.OK]
    return [f"{len(wrong)} requests ended otherwise than ok, {wrong[0]} for one"] if wrong else []


CASES = [
    Case("F11", "an answer that its topic does not take", too_large, stack=STACK),
    Case(
        "F11-acl",
        "dispatchers may not write the responses",
        partial(not_permitted, topic=topics.RESPONSES, role="dispatch"),
        stack=STACK,
    ),
    Case(
        "F11-acl-intake",
        "intake may not write what it has routed",
        partial(not_permitted, topic=topics.ROUTED, role="intake"),
        stack=STACK,
    ),
    Case("F11-topic", "the topic of a provider's orders is deleted", topic_gone, stack=STACK),
]
