"""Follows topics without a group: whole in every process, from some time ago on, and so again after a broker's trouble."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.registry import Newcomers
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_CATCH_UP_S = 5.0
_POLL_MS = 1_000
_RETRY_S = 2.0
_MEANWHILE_MS = 50

Apply = Callable[[Any], None]
"""Takes one record, aiokafka's ConsumerRecord. It raises for nothing that a record may hold."""


class Follower:
    """`look_back_s` says for each topic from how long ago on it is read; None: from its beginning.

    `apply` is given every record, `started_over` is called before the first one of each reading, `batch_done` after those that
    came together, but not before `caught_up`: set while all has been read that stood there when the reading began. Records wait
    for `wait_ms` at most, or until there are `fetch_min_bytes`: a fifth of a second is soon enough for a circuit, and spares a
    fetch for every call.
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
        wait_ms: int = 200,
        fetch_min_bytes: int = 64 * 1024,
    ) -> None:
        self._runtime = runtime
        self._name = name
        self._look_back_s = look_back_s
        self._apply = apply
        self._started_over = started_over
        self._batch_done = batch_done
        self._wait_ms = wait_ms
        self._fetch_min_bytes = fetch_min_bytes
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
        # Without a group a consumer takes all partitions of its topics.
        consumer = AIOKafkaConsumer(
            *self._look_back_s,
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-{self._name}",
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            fetch_min_bytes=self._fetch_min_bytes,
            fetch_max_wait_ms=self._wait_ms,
            **settings.kafka_security(),
        )
        await consumer.start()
        try:
            await self._read(consumer)
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any) -> None:
        while not (partitions := sorted(consumer.assignment())):  # noqa: ASYNC110 - aiokafka tells nobody when it has them
            await asyncio.sleep(0.05)
        ends = await consumer.end_offsets(partitions)
        for partition, offset in (await self._starts(consumer, ends)).items():
            consumer.seek(partition, offset)
        self.caught_up.clear()
        self._started_over()
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
