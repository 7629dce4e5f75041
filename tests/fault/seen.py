"""What any committed reader sees of the pipeline while it runs: requests, calls, finals, ledger lines, chunks, dead letters."""

import asyncio
import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from schemas.calls import CallOrdered, CallPhase, CallReported
from schemas.errors import RecordError
from schemas.ledger import CostEvent
from schemas.outcomes import DeadLetter, InferenceResponse, ResponseChunk
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from schemas.serde import Serde
from streams import topics
from tests.fault import background

_LOOK_EVERY_S = 0.3

_READ = {
    topics.REQUESTS: InferenceRequest,
    topics.ROUTED: RequestRouted,
    topics.RESPONSES: InferenceResponse,
    topics.COSTS: CostEvent,
    topics.ATTEMPTS: CallReported,
    topics.CHUNKS: ResponseChunk,
    topics.DEAD_LETTERS: DeadLetter,
}


@dataclass(frozen=True, slots=True)
class Final:
    """A final response and when it could be read, Unix seconds."""

    response: InferenceResponse
    read_at: float


class Work(NamedTuple):
    """Something to be done: a request (attempt 0), an order of a call, or, when it cannot be read, a position of a topic."""

    tenant: str
    request_id: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """`latest[i]`: of the records up to `offsets[i]`, when the last one was done, and its offset."""

    offsets: Sequence[int]
    latest: Sequence[tuple[float, int]]

    def unfinished_before(self, offset: int, at: float) -> int | None:
        """The offset of a record before `offset` of which nothing had been written down by `at`; None when there is none."""
        place = bisect_left(self.offsets, offset) - 1
        if place < 0:
            return None
        done_at, unfinished = self.latest[place]
        return unfinished if done_at > at else None


class Seen:
    """Records of the current repeat, as they come. Of a request id that was answered twice, `finals` has both."""

    def __init__(self, bootstrap_servers: str, providers: Iterable[str]) -> None:
        self._bootstrap_servers = bootstrap_servers
        serde = Serde()
        read: dict[str, type[Any]] = {**_READ, **{topics.calls(provider): CallOrdered for provider in providers}}
        self._decode = {topic: serde.of(record).decode for topic, record in read.items()}
        self._changed = asyncio.Event()
        self.forget()

    def forget(self) -> None:
        """Begin anew: what was read before is no longer here."""
        self.finals: defaultdict[str, list[Final]] = defaultdict(list)
        self.notices: list[InferenceResponse] = []
        self.started: dict[str, CallReported] = {}
        self.ended: dict[str, CallReported] = {}
        self.costs: defaultdict[str, list[CostEvent]] = defaultdict(list)
        """Cost events by request id."""
        self.charged: set[str] = set()
        """Call ids that have a cost event."""
        self.chunks: defaultdict[str, list[ResponseChunk]] = defaultdict(list)
        self.dead_letters: list[DeadLetter] = []
        self.waiting: defaultdict[TopicPartition, dict[int, Work]] = defaultdict(dict)
        """What stands on the topics that intake and the workers consume, by offset."""
        self.done_at: dict[Work, float] = {}
        """When it was first written down what became of it, Unix seconds by the writer's clock."""

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            client_id="fault-seen",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=topics.MAX_MESSAGE_BYTES,
        )
        await self._consumer.start()
        partitions = [TopicPartition(t, p) for t in self._decode for p in await self._partitions(t)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        self._reading = asyncio.create_task(self._read(), name="seen")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            await background.end(self._reading)
        finally:
            await self._consumer.stop()

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Whether `condition`, looked at after every batch of records, came true in time."""
        give_up = time.monotonic() + within_s
        while not condition():
            if self._reading.done():
                self._reading.result()
            if (left_s := give_up - time.monotonic()) <= 0:
                return False
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left_s, _LOOK_EVERY_S))
            except TimeoutError:
                continue
        return True

    def done(self, partition: TopicPartition) -> "Done":
        """When the records of the partition had been dealt with, as far as has been read."""
        latest: list[tuple[float, int]] = []
        offsets = sorted(self.waiting[partition])
        for offset in offsets:
            ended = (self.done_at.get(self.waiting[partition][offset], math.inf), offset)
            latest.append(max(latest[-1], ended) if latest else ended)
        return Done(offsets, latest)

    def call_ids_of(self, request_id: str) -> list[str]:
        """The request's calls, in the order of their STARTED reports."""
        return [call_id for call_id, report in self.started.items() if report.request_id == request_id]

    async def _partitions(self, topic: str) -> list[int]:
        async with asyncio.timeout(20):
            while not (found := self._consumer.partitions_for_topic(topic)):
                await self._consumer._client.force_metadata_update()
                self._consumer._client.add_topic(topic)
                await asyncio.sleep(0.05)
        return sorted(found)

    async def _read(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=200)
            now = time.time()
            for records in batches.values():
                for record in records:
                    self._take(record, now)
            if batches:
                self._changed.set()

    def _take(self, record: ConsumerRecord, now: float) -> None:
        place = TopicPartition(record.topic, record.partition)
        try:
            value: Any = self._decode[record.topic](record.value)
        except RecordError:
            if record.topic != topics.REQUESTS:
                raise
            self.waiting[place][record.offset] = _position(place, record.offset)
            return
        match value:
            case InferenceRequest():
                self.waiting[place][record.offset] = Work(value.tenant, value.request_id)
            case RequestRouted():
                self._done(Work(value.tenant, value.request_id), record.timestamp / 1000)
            case CallOrdered():
                self.waiting[place][record.offset] = Work(value.tenant, value.request_id, value.attempt)
            case DeadLetter():
                self.dead_letters.append(value)
                self._done(_position(TopicPartition(value.topic, value.partition), value.offset), value.seen_at.timestamp())
            case _:
                self._take_outcome(value, now)

    def _take_outcome(self, value: Any, now: float) -> None:
        match value:
            case InferenceResponse(final=True):
                self.finals[value.request_id].append(Final(value, now))
            case InferenceResponse():
                self.notices.append(value)
            case CostEvent():
                self.costs[value.request_id].append(value)
                if value.call_id is not None:
                    self.charged.add(value.call_id)
            case CallReported(phase=CallPhase.STARTED):
                self.started[value.call_id] = value
            case CallReported():
                self.ended[value.call_id] = value
                self._done(Work(value.tenant, value.request_id, value.attempt), value.reported_at.timestamp())
            case ResponseChunk():
                self.chunks[value.call_id].append(value)

    def _done(self, work: Work, at: float) -> None:
        self.done_at[work] = min(at, self.done_at.get(work, at))


def _position(place: TopicPartition, offset: int) -> Work:
    return Work(place.topic, f"{place.partition}-{offset}")
