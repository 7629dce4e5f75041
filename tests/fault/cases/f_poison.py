"""F20, F21: records that are no requests, a few among many, and a flood of them."""

import asyncio
import random
import statistics
import time
import uuid
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from schemas.outcomes import ResponseStatus
from streams import topics
from tests.fault.case import Case, Observed, StackSpec
from tests.fault.cases._memory import Peaks
from tests.fault.cases._poison import SMALL, TENANT, Poison, differences, good, poisons
from tests.fault.load import mixed
from tests.fault.rig import Rig

Injected = dict[tuple[str, int, int], Poison]

PER_S, PHASES, PHASE_S = 40.0, 16, 5.0
POISONED = 24
P99_SHIFT, RSS_MB = 1.10, 20.0
FLOOD_PER_S, FLOOD_S, BATCH = 5_000, 2, 500
CODECS, BOMB_BYTES = ("gzip", "snappy", "lz4", "zstd"), 50_000_000
STEADY: dict[str, Any] = {"first_token_ms": 180.0, "per_token_ms": 0.0}
"""A provider that always takes as long, so that what differs is ours."""


@asynccontextmanager
async def injecting(rig: Rig) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that sends any bytes."""
    producer = AIOKafkaProducer(
        bootstrap_servers=rig.stack.bootstrap_servers, max_request_size=2_000_000, max_batch_size=1_000_000
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def inject(producer: AIOKafkaProducer, made: Iterable[Poison], injected: Injected) -> None:
    """Publish and write down where they came to stand."""
    sent = [(p, await producer.send(topics.REQUESTS, p.value, key=TENANT.encode())) for p in made]
    for poison, future in sent:
        placed = await future
        injected[(placed.topic, placed.partition, placed.offset)] = poison


async def inject_many(producer: AIOKafkaProducer, made: Sequence[Poison], injected: Injected) -> None:
    """As `inject`, in batches of our own, which thousands a second take."""
    sent = []
    for number in range(0, len(made), BATCH):
        part, partition = made[number : number + BATCH], number // BATCH % 2
        batch = producer.create_batch()
        for poison in part:
            assert batch.append(key=TENANT.encode(), value=poison.value, timestamp=None) is not None, "the batch is full"
        sent.append((part, await producer.send_batch(batch, topics.REQUESTS, partition=partition)))
    for part, future in sent:
        placed = await future
        injected |= {(placed.topic, placed.partition, placed.offset + number): poison for number, poison in enumerate(part)}


async def among_others(rig: Rig) -> Observed:
    """One record in a hundred is none, in every second stretch of one load; the others' p99 in each beside the stretch before."""
    injected: Injected = {}
    made = list(poisons(uuid.uuid4().hex[:8], POISONED))
    random.Random(20).shuffle(made)
    stretches: list[float] = []
    # One record of each kind before anything is measured: what a first error of its kind imports and builds is no leak.
    warm_up = list(poisons(uuid.uuid4().hex[:8], len(made) // 2))
    async with injecting(rig) as producer:
        async with rig.load(60, per_s=PER_S, make=_plain):
            await inject(producer, warm_up, injected)
        await rig.drained()
        peaks = Peaks.from_now(rig)
        async with rig.load(int(PER_S * PHASES * PHASE_S), per_s=PER_S, make=_plain) as load:
            for phase in range(PHASES):
                poisoned, begun = bool(phase % 2), time.time()
                stretches.append(begun)
                mine = made[phase // 2 :: PHASES // 2] if poisoned else []
                for poison in mine:
                    await asyncio.sleep(PHASE_S / (len(mine) + 1))
                    await inject(producer, [poison], injected)
                await asyncio.sleep(max(0.0, begun + PHASE_S - time.time()))
    answered = [p.request_id for p in injected.values() if p.request_id is not None]
    await rig.seen.until(lambda: all(r in rig.seen.finals for r in answered), 20)
    observed = await rig.conclude(duplicates_at_most=0, deaths=0, dead_letters=len(injected), other_finals=len(answered))
    took_s: list[list[float]] = [[] for _ in stretches]
    for request_id, sent_at in load.sent_at.items():
        phase = max(bisect_right(stretches, sent_at) - 1, 0)
        took_s[phase].append(rig.first_final(request_id).read_at - sent_at)
    p99_s = [_p99(each) for each in took_s]
    # A stall of the machine falls into one stretch: neighbours are compared. Of eight ratios the second smallest is below the
    # true median with 96 % (binomial), so that what lies above the limit there is a shift, and no chance.
    shifts = sorted(poisoned / calm for calm, poisoned in zip(p99_s[::2], p99_s[1::2], strict=True))
    calm_s = statistics.median(p99_s[::2])
    return observed.also(
        *differences(rig.seen.dead_letters, injected),
        *_unanswered(rig, injected),
        f"p99 is {shifts[1]:.2f} times that without poison, or more" if shifts[1] > P99_SHIFT else "",
        *peaks.problems(RSS_MB),
        notes=(
            f"p99 {statistics.median(shifts):.3f} of calm ({calm_s * 1000:.0f} ms), at least {shifts[1]:.3f}",
            peaks.note(),
        ),
    )


async def flood(rig: Rig) -> Observed:
    """Ten thousand within two seconds: everybody stays, and each is put aside."""
    injected: Injected = {}
    made = list(poisons(uuid.uuid4().hex[:8], FLOOD_PER_S * FLOOD_S, SMALL))
    made = [p if number % 10 < 5 else _without_id(p) for number, p in enumerate(made)]
    before = rig.fleet.names()
    async with injecting(rig) as producer, rig.load(300, per_s=30):
        await rig.flowing(20)
        begun = time.time()
        for second in range(FLOOD_S):
            part = made[second * FLOOD_PER_S : (second + 1) * FLOOD_PER_S]
            await inject_many(producer, part, injected)
            await asyncio.sleep(max(0.0, begun + second + 1 - time.time()))
        flooded_s = time.time() - begun
        put_aside = await rig.seen.until(lambda: len(rig.seen.dead_letters) >= len(made), 60)
        aside_s = time.time() - begun
    answered = [p.request_id for p in injected.values() if p.request_id is not None]
    await rig.seen.until(lambda: all(r in rig.seen.finals for r in answered), 30)
    after = rig.fleet.names()
    observed = await rig.conclude(
        duplicates_at_most=0, deaths=0, dead_letters=len(made), other_finals=len(answered), recovery_s=aside_s - flooded_s
    )
    return observed.also(
        f"the flood took {flooded_s:.1f} s" if flooded_s > FLOOD_S * 1.2 else "",
        "" if before == after else f"processes were restarted: {before} before, {after} after",
        "" if put_aside else f"{len(rig.seen.dead_letters)} of {len(made)} were put aside within 60 s",
        *differences(rig.seen.dead_letters, injected),
        *_unanswered(rig, injected),
        notes=(f"{len(made)} sent in {flooded_s:.1f} s, all put aside after {aside_s:.1f} s",),
    )


async def compressed(rig: Rig) -> Observed:
    """Batches compressed by every codec that a client may choose are read, and one that inflates to 50 MB harms nobody."""
    name, peaks = uuid.uuid4().hex[:8], Peaks.from_now(rig)
    ids = [f"{name}-{codec}-{n}" for codec in CODECS for n in range(10)]
    async with rig.load(120, per_s=30):
        await rig.flowing(20)
        for codec in CODECS:
            values = [good(request_id) for request_id in ids if request_id.startswith(f"{name}-{codec}-")]
            await asyncio.to_thread(_publish_compressed, rig.stack.bootstrap_servers, codec, values)
        readable = await rig.seen.until(lambda: all(r in rig.seen.finals for r in ids), 20)
        begun = time.time()
        refused = await asyncio.to_thread(_publish_compressed, rig.stack.bootstrap_servers, "gzip", [bytes(BOMB_BYTES)])
        await rig.seen.until(lambda: bool(refused or rig.seen.dead_letters), 20)
        await rig.recovered(begun)
    observed = await rig.conclude(duplicates_at_most=0, deaths=0, dead_letters=0 if refused else 1, other_finals=len(ids))
    return observed.also(
        ""
        if readable
        else f"{sum(r not in rig.seen.finals for r in ids)} of {len(ids)} requests in compressed batches not answered",
        *peaks.problems(RSS_MB),
        notes=(f"the broker said of the bomb: {refused or 'nothing'}", peaks.note()),
    )


def _publish_compressed(bootstrap_servers: str, codec: str, values: Sequence[bytes]) -> str:
    """What the broker refused, empty when it took all. The batch is compressed by the client, as librdkafka does."""
    refused: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 50,
            "message.max.bytes": 2 * BOMB_BYTES,
            "queue.buffering.max.kbytes": 1_000_000,
        }
    )
    for value in values:
        producer.produce(
            topics.REQUESTS, value, key=TENANT, on_delivery=lambda error, _: refused.append(str(error)) if error else None
        )
    left = producer.flush(20)
    return refused[0] if refused else f"{left} not delivered within 20 s" if left else ""


def _plain(name: str, number: int) -> Any:
    return replace(mixed(name, number), stream=False)


def _without_id(poison: Poison) -> Poison:
    return Poison("bad magic", b"\x01" + poison.value[1:], "bad_magic")


def _unanswered(rig: Rig, injected: Injected) -> Iterable[str]:
    """Senders whose request_id can be read get an error that says why."""
    for poison in injected.values():
        if poison.request_id is None:
            continue
        finals = rig.seen.finals.get(poison.request_id, [])
        if len(finals) != 1 or finals[0].response.status is not ResponseStatus.ERROR:
            yield f"the sender of a {poison.kind} has {len(finals)} finals"
        elif (error := finals[0].response.error) is None or error.kind != poison.reason:
            yield f"the sender of a {poison.kind} was told {error}"


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


CASES = [
    Case("F20", "one record in a hundred is none", among_others, stack=StackSpec(profiles={"default": STEADY})),
    Case("F20-compressed", "compressed batches, one of which inflates to 50 MB", compressed),
    Case("F21", "5,000 records a second that are none", flood),
]
