"""The answers to the lines of batches, from ai.responses: one reader a process, for all batches that it carries out.

It can be sent back to where a batch's answers were last written down. Whoever is given an answer twice passes it over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from processors.api.batch_lines import number_of
from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse
from streams import topics
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_POLL_MS = 500
_MEANWHILE_MS = 50

Take = Callable[[int, InferenceResponse], None]
"""Is given the number of a line and its final response."""


@dataclass(slots=True)
class _Follower:
    tenant: str
    take: Take


@dataclass(slots=True)
class _Wish:
    """To be sent back, and told when everything has been read that stood there then. Without positions: to begin at the end."""

    positions: Mapping[int, int]
    done: "asyncio.Future[None]"
    ends: Mapping[TopicPartition, int] | None = None


class BatchAnswers:
    """`read` must run for as long as anybody follows."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._codec = runtime.serde.of(InferenceResponse)
        self._followers: dict[str, _Follower] = {}
        self._wishes: list[_Wish] = []
        self._positions: dict[int, int] = {}
        self._wanted = asyncio.Event()

    @property
    def positions(self) -> tuple[int, ...]:
        """By partition: every follower has been given all answers before it, from where it asked for them on."""
        return tuple(self._positions[partition] for partition in sorted(self._positions))

    async def read(self) -> None:
        """Read for as long as anybody follows; for ever. Raises KafkaError."""
        await self._wanted.wait()
        settings = self._runtime.settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-batch-answers",
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
            **settings.kafka_security(),
        )
        try:
            await consumer.start()
            count = await self._runtime.publisher.partitions(topics.RESPONSES)
            consumer.assign([TopicPartition(topics.RESPONSES, partition) for partition in range(count)])
            while True:
                if not self._followers:
                    self._wanted.clear()
                    self._wishes.clear()
                    self._positions.clear()
                    await self._wanted.wait()
                await self._step(consumer)
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def following(self, batch_id: str, tenant: str, positions: tuple[int, ...], take: Take) -> AsyncIterator[None]:
        """In the body, `take` has been given every answer that stood there from these positions on, and is given all others.

        Without positions, what comes from now on.
        """
        wish = _Wish(dict(enumerate(positions)), asyncio.get_running_loop().create_future())
        self._followers[batch_id] = _Follower(tenant, take)
        self._wishes.append(wish)
        self._wanted.set()
        try:
            await wish.done
            yield
        finally:
            self._followers.pop(batch_id, None)

    async def _step(self, consumer: Any) -> None:
        for wish in self._wishes:
            if wish.ends is None:
                await self._send_back(consumer, wish)
        timeout_ms = _MEANWHILE_MS if self._wishes else _POLL_MS
        for place, records in (await consumer.getmany(timeout_ms=timeout_ms)).items():
            for record in records:
                self._hand_over(record)
            self._positions[place.partition] = records[-1].offset + 1
        # Where aborted and ended transactions stand, nothing is handed out, and yet it is read.
        at = {place: await consumer.position(place) for place in consumer.assignment()}
        for wish in [each for each in self._wishes if _reached(each, at)]:
            self._wishes.remove(wish)
            if not wish.done.done():
                wish.done.set_result(None)

    async def _send_back(self, consumer: Any, wish: _Wish) -> None:
        wish.ends = await consumer.end_offsets(list(consumer.assignment()))
        for place, end in wish.ends.items():
            target = wish.positions.get(place.partition, end)
            known = self._positions.get(place.partition)
            if known is None or target < known:
                consumer.seek(place, target)
                self._positions[place.partition] = target

    def _hand_over(self, record: Any) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        named = number_of(key)
        follower = None if named is None else self._followers.get(named[0])
        if named is None or follower is None:
            return
        try:
            response = self._codec.decode(record.value)
        except RecordError as error:
            place = {"partition": record.partition, "offset": record.offset}
            log.warning("batch_unreadable_answer", **place, error=str(error), next_step="its line expires with its batch")
            return
        if response.final and response.tenant == follower.tenant and response.request_id == key:
            follower.take(named[1], response)


def _reached(wish: _Wish, at: Mapping[TopicPartition, int]) -> bool:
    return wish.ends is not None and all(at[place] >= end for place, end in wish.ends.items())
