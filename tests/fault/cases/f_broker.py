"""F8, F9: the broker dies, or stands still."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams import topics
from tests.fault.case import Case, Observed
from tests.fault.cases._lanes import producer_starts
from tests.fault.cases._log_ends import log_ends, transactional_partitions
from tests.fault.load import mixed
from tests.fault.rig import Rig

PER_S, AT_MOST = 40.0, 3_000
DOWN_S = 10.0
BACK_WITHIN_S = 30.0
"""From when the broker answers again to the first new final."""
PAUSED_WITHIN_S = 20.0
CLOSED_WITHIN_S = 15.0
"""No transaction outlives its timeout of 10 s."""

IMPATIENT, PATIENCE_S, TOLD_WITHIN_S = 12, 2.0, 4.0
RETRIED = 6
LANE_STARTS = 2
"""Of one lane at a pause: one because its commit was unsure, one because the group shared the lanes anew."""


async def killed(rig: Rig) -> Observed:
    """kill -9 in the middle of commits, a start ten seconds later: all goes on, and no transaction is left open."""
    async with rig.load(AT_MOST, per_s=PER_S) as load:
        await rig.flowing(80)
        in_flight = rig.in_flight()
        await rig.stack.halt("kafka", number=signal.SIGKILL)
        await asyncio.sleep(DOWN_S)
        begun = time.time()
        await rig.stack.resume("kafka")
        back_at = time.time()
        recovery_s = await rig.recovered(back_at)
        await asyncio.sleep(2)
        load.stop()
    caught_up_s = await rig.caught_up(back_at)
    observed = await rig.conclude(
        recovery_s=recovery_s, recovery_limit_s=BACK_WITHIN_S, duplicates_at_most=in_flight, deaths=0, check_wait_s=30
    )
    return observed.also(
        *await left_open(rig),
        notes=(
            f"the broker answered {back_at - begun:.1f} s after its start",
            f"all from before answered after {caught_up_s:.1f} s",
        ),
    )


async def paused(rig: Rig, *, seconds: float) -> Observed:
    """SIGSTOP of the broker: nobody dies of it, publishers with less patience see an error, and nothing is half accepted."""
    async with rig.load(AT_MOST, per_s=PER_S) as load, Impatient(rig) as impatient:
        await rig.flowing(40)
        in_flight, paused_at = rig.in_flight(), time.time()
        await rig.fleet.send("kafka", signal.SIGSTOP)
        await impatient.try_all()
        await asyncio.sleep(max(0.0, paused_at + seconds - time.time()))
        await rig.fleet.send("kafka", signal.SIGCONT)
        back_at = time.time()
        recovery_s = await rig.recovered(back_at)
        async with rig.load(RETRIED, per_s=100, make=lambda _, number: impatient.requests[number]):
            pass
        await asyncio.sleep(2)
        load.stop()
    caught_up_s = await rig.caught_up(back_at)
    taken = await impatient.answered()
    starts = producer_starts(rig, since=paused_at)
    observed = await rig.conclude(
        recovery_s=recovery_s,
        recovery_limit_s=PAUSED_WITHIN_S,
        duplicates_at_most=in_flight,
        deaths=0,
        other_finals=len(taken),
    )
    return observed.also(
        *impatient.problems(),
        *await left_open(rig),
        f"lanes were started {dict(starts)} times" if max(starts.values(), default=0) > LANE_STARTS else "",
        notes=(
            f"all from before answered after {caught_up_s:.1f} s",
            f"{len(taken)} of {IMPATIENT - RETRIED} refused and not retried were taken",
            f"producer starts {sorted(starts.values())}",
        ),
    )


async def left_open(rig: Rig) -> list[str]:
    """Partitions that committed readers cannot read to their end."""
    async with log_ends(rig) as ends:
        still = await ends.closed_within(transactional_partitions(rig), CLOSED_WITHIN_S)
    return [f"a transaction is open at {offset} of {_name(tp)}" for tp, offset in still.items()]


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"


@dataclass(slots=True)
class Impatient:
    """A program that gives up on a publication after PATIENCE_S, and sends half of what was refused once more, later."""

    rig: Rig
    requests: list[InferenceRequest] = field(default_factory=list)
    refused_after_s: dict[str, float] = field(default_factory=dict)
    _producer: AIOKafkaProducer = None

    async def __aenter__(self) -> Self:
        name = f"impatient-{time.time_ns()}"
        self.requests = [mixed(name, number) for number in range(IMPATIENT)]
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.rig.stack.bootstrap_servers, acks="all", request_timeout_ms=int(PATIENCE_S * 1000)
        )
        await self._producer.start()
        await self._producer.partitions_for(topics.REQUESTS)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def try_all(self) -> None:
        """Publish all; what is refused is noted with how long that took."""
        encode = Serde().of(InferenceRequest).encode
        await asyncio.gather(*(self._try(request, encode(request)) for request in self.requests))

    async def answered(self) -> list[str]:
        """Those of the refused and not retried that stand in the log all the same, once each has a final."""
        ids = {request.request_id for request in self.requests[RETRIED:]}
        standing = {work.request_id for works in self.rig.seen.waiting.values() for work in works.values()}
        taken = sorted(ids & standing)
        await self.rig.seen.until(lambda: all(r in self.rig.seen.finals for r in taken), 30)
        return taken

    def problems(self) -> list[str]:
        """What is wrong with how its requests were refused and what became of them."""
        told_late = [s for s in self.refused_after_s.values() if s > TOLD_WITHIN_S]
        half = [
            request.request_id for request in self.requests[RETRIED:] if len(self.rig.seen.finals.get(request.request_id, ())) > 1
        ]
        return [
            "" if len(self.refused_after_s) == IMPATIENT else f"{len(self.refused_after_s)} of {IMPATIENT} saw an error",
            f"a publisher was told after {max(told_late):.1f} s" if told_late else "",
            f"{len(half)} requests were answered twice" if half else "",
        ]

    async def _try(self, request: InferenceRequest, value: bytes) -> None:
        begun = time.monotonic()
        try:
            await self._producer.send_and_wait(topics.REQUESTS, value, key=request.tenant.encode())
        except KafkaError:
            self.refused_after_s[request.request_id] = time.monotonic() - begun


CASES = [
    Case("F8", "kill -9 of the broker, a start after 10 s", killed),
    Case("F9", "SIGSTOP of the broker for 5 s", partial(paused, seconds=5.0)),
    Case("F9-30", "SIGSTOP of the broker for 30 s", partial(paused, seconds=30.0), tags=frozenset({"long"})),
]
