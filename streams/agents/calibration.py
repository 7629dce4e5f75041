"""What the ledger says about the token estimate, as intake uses it: it looks at the end of ai.costs every so often."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from processors.classify.calibration import Errors, Factors, Key, Told, calibrations, learn, settled, told
from schemas.errors import RecordError
from schemas.ledger import CostEvent
from streams import topics
from streams.newcomers import Newcomers
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

FIRST_LOOK = 2_000
"""How many offsets of each partition are read at the start: some hundred calls of every model that is much in use."""
_LOOK = 500
"""And at each look thereafter: of a flood the newest say enough, and reading them all would cost every intake as much as it."""
_EVERY_S = 15.0
_CATCH_UP_S = 5.0
_RETRY_S = 2.0
_POLL_MS = 200
_AT_ONCE = 100
"""Records between two turns of the event loop, a few milliseconds' work: requests do not wait for what is only advice."""

Offsets = Mapping[TopicPartition, int]


class TokenCalibration:
    """`factors` is the latest; it changes in place. It is advice: without Kafka it stays as it was.

    Several processes may look at other calls and differ by a percent: what one used stands in the record it routed.
    """

    def __init__(self, runtime: Runtime, *, every_s: float = _EVERY_S, at_most: int = _LOOK) -> None:
        self._runtime = runtime
        self._every_s, self._at_most = every_s, at_most
        self._codec = runtime.serde.of(CostEvent)
        self._newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
        self._positions: dict[TopicPartition, int] = {}
        self._known: dict[Key, Errors] = {}
        self._factors: dict[Key, float] = {}
        self._looked = asyncio.Event()

    @property
    def factors(self) -> Factors:
        return self._factors

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["TokenCalibration"]:
        """Look in the background, at once and then every so often."""
        task = asyncio.create_task(self._follow_for_ever(), name="token calibration")
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def looked(self) -> None:
        """Return when it has looked once, or when Kafka takes over five seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._looked.wait(), _CATCH_UP_S)

    async def _follow_for_ever(self) -> None:
        while True:
            try:
                await self._follow()
            except KafkaError as error:
                log.warning("calibration_interrupted", error=type(error).__name__, next_step="it is retried; check the broker")
            except Exception:
                # As in Follower: what is followed here is advice, and the process goes on with what it knows.
                log.exception("calibration_interrupted", next_step="it is retried; this is a defect, report it")
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        settings = self._runtime.settings
        consumer = AIOKafkaConsumer(
            topics.COSTS,
            bootstrap_servers=self._runtime.bootstrap_servers,
            client_id=f"{settings.app}-{self._runtime.role}-calibration",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            **settings.kafka_security(),
        )
        await consumer.start()
        try:
            while True:
                await self._look(consumer)
                self._looked.set()
                await asyncio.sleep(self._every_s)
        finally:
            await consumer.stop()

    async def _look(self, consumer: Any) -> None:
        """Learn from what has come since the last look, or from the end of it."""
        while not (partitions := sorted(consumer.assignment())):  # noqa: ASYNC110 - aiokafka tells nobody when it has them
            await asyncio.sleep(0.05)
        ends: Offsets = await consumer.end_offsets(partitions)
        for partition, end in ends.items():
            consumer.seek(partition, starting_at(end, self._positions.get(partition), self._at_most))
        consumer.resume(*partitions)
        calls = [call async for call in self._read(consumer, ends)]
        # Between two looks nothing is fetched.
        consumer.pause(*partitions)
        self._positions |= ends
        if calls:
            self._learn(calls)

    async def _read(self, consumer: Any, ends: Offsets) -> AsyncIterator[Told]:
        while pending := [p for p, end in ends.items() if await consumer.position(p) < end]:
            fetched = await consumer.getmany(*pending, timeout_ms=_POLL_MS, max_records=_AT_ONCE)
            for records in fetched.values():
                await self._newcomers.meet(record.value for record in records)
                for call in self._told(records):
                    yield call
            await asyncio.sleep(0)

    def _told(self, records: Iterable[Any]) -> Iterable[Told]:
        for record in records:
            try:
                call = told(self._codec.decode(record.value))
            except RecordError as error:
                log.warning("record_unreadable", topic=record.topic, offset=record.offset, reason=error.reason)
                continue
            if call is not None:
                yield call

    def _learn(self, calls: Iterable[Told]) -> None:
        self._known = learn(self._known, calls)
        found, before = calibrations(self._known), dict(self._factors)
        factors = settled(before, found)
        for key in before.keys() - factors.keys():
            del self._factors[key]
        self._factors.update(factors)
        for provider, model in sorted(key for key in before.keys() | factors.keys() if before.get(key) != factors.get(key)):
            factor = factors.get((provider, model), 1.0)
            log.info("token_estimate_calibrated", provider=provider, model=model, factor=factor)


def starting_at(end: int, position: int | None, at_most: int) -> int:
    """Where a look begins that ends at `end`: where the last one ended, but not more than so many offsets before the end.

    >>> starting_at(5_000, None, 500), starting_at(5_000, 4_900, 500), starting_at(5_000, 100, 500), starting_at(30, None, 500)
    (3000, 4900, 4500, 0)

    The first look goes further back, and so does one at a topic that was made anew.

    >>> starting_at(30, 5_000, 500)
    0
    """
    if position is None or position > end:
        return max(end - FIRST_LOOK, 0)
    return max(position, end - at_most)
