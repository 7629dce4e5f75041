"""Follows topics without a group: whole in every process, from some time ago on, and so again after a broker's trouble."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.newcomers import Newcomers
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_CATCH_UP_S = 5.0
_FETCH_MAX_WAIT_MS = 10_000
"""How long the broker holds a fetch that finds nothing: a record that comes ends it at once, so it costs nobody time."""
_GATHERED_BYTES = 64 * 1024
_LOOK_AGAIN_S = 30.0
_POLL_MS = 1_000
_RETRY_S = 2.0
_MEANWHILE_MS = 50

Apply = Callable[[Any], None]
"""Takes one record, aiokafka's ConsumerRecord. It raises for nothing that a record may hold."""


class Follower:
    """`look_back_s` says for each topic from how long ago on it is read; None: from its beginning.

    `apply` is given every record, `started_over` is called before the first one of each reading, `batch_done` after those that
    came together, but not before `caught_up`: set while all has been read that stood there when the reading began. Records are
    gathered for `gather_ms` at most, or until there are 64 KiB of them: a fifth of a second is soon enough for a circuit, and
    spares a fetch for every call. With None they are given as they come.
    """

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        look_back_s: Mapping[str, float | None],
        apply: Apply,
        *,
        started_over: Callable[[], None],
        batch_done: Callable[[], None] | None = None,
        gather_ms: int | None = 200,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._look_back_s = look_back_s
        self._apply = apply
        self._started_over = started_over
        self._batch_done = batch_done
        self._gather_ms = gather_ms
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self.caught_up = asyncio.Event()

    @contextlib.asynccontextmanager
    async def following(self, *, at_once: bool = False) -> AsyncIterator[None]:
        """Follow in the background; in the body it has caught up, unless Kafka took over five seconds, or `at_once`."""
        task = asyncio.create_task(self._follow_for_ever(), name=f"follower {self._name}")
        try:
            with contextlib.suppress(TimeoutError):
                if not at_once:
                    await asyncio.wait_for(self.caught_up.wait(), _CATCH_UP_S)
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                await self._follow()
            except KafkaError as error:
                told = {"error": type(error).__name__, "next_step": "it is retried; check the broker"}
                log.warning("follower_interrupted", follower=self._name, **told)
            except Exception:
                # What is followed here is advice: the process goes on with what it knows.
                log.exception("follower_interrupted", follower=self._name, next_step="it is retried; this is a defect, report it")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        settings = self._runtime.settings
        at_once = self._gather_ms is None
        partitions = await self._partitions()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-{self._name}",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            fetch_min_bytes=1 if at_once else _GATHERED_BYTES,
            fetch_max_wait_ms=_FETCH_MAX_WAIT_MS if at_once else self._gather_ms,
            **settings.kafka_security(),
        )
        try:
            await consumer.start()
            consumer.assign(partitions)
            await self._read(consumer, partitions)
        finally:
            await consumer.stop()

    async def _partitions(self) -> list[TopicPartition]:
        publisher = self._runtime.publisher
        return [
            TopicPartition(topic, number) for topic in self._look_back_s for number in range(await publisher.partitions(topic))
        ]

    async def _read(self, consumer: Any, partitions: Sequence[TopicPartition]) -> None:
        """Read until there are other partitions than these."""
        # What asks for offsets would wait behind a fetch that finds nothing.
        consumer.pause(*partitions)
        ends = await consumer.end_offsets(partitions)
        for partition, offset in (await self._starts(consumer, ends)).items():
            consumer.seek(partition, offset)
        consumer.resume(*partitions)
        self.caught_up.clear()
        self._started_over()
        look_again_s = time.monotonic() + _LOOK_AGAIN_S
        while True:
            if not self.caught_up.is_set() and await _reached(consumer, ends):
                self.caught_up.set()
                self._done()
            fetched = await consumer.getmany(timeout_ms=_POLL_MS if self.caught_up.is_set() else _MEANWHILE_MS)
            for records in fetched.values():
                await self._newcomers.meet(record.value for record in records)
                for record in records:
                    self._apply(record)
            if fetched:
                self._done()
            if time.monotonic() >= look_again_s:
                look_again_s += _LOOK_AGAIN_S
                if await self._partitions() != partitions:
                    log.info("follower_begins_again", follower=self._name, reason="its topics have other partitions")
                    return

    async def _starts(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        whole = [p for p in ends if self._look_back_s[p.topic] is None]
        starts: dict[TopicPartition, int] = await consumer.beginning_offsets(whole) if whole else {}
        now_s = time.time()
        since_ms = {p: int((now_s - back_s) * 1000) for p in ends if (back_s := self._look_back_s[p.topic]) is not None}
        found = await consumer.offsets_for_times(since_ms) if since_ms else {}
        return starts | {p: ends[p] if found.get(p) is None else found[p].offset for p in since_ms}

    def _done(self) -> None:
        if self._batch_done is not None and self.caught_up.is_set():
            self._batch_done()


async def _reached(consumer: Any, ends: Mapping[TopicPartition, int]) -> bool:
    positions = [(await consumer.position(partition), end) for partition, end in ends.items()]
    return all(position >= end for position, end in positions)
