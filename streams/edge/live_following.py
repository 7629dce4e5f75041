"""Reads the log into the live fold, while somebody watches."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from aiokafka.structs import TopicPartition

from processors.live.fold import MOST_DEAD, MOST_MARKS, Live
from processors.live.scope import MOST_DEAD_LETTERS, MOST_REQUESTS
from processors.live.spend import HOURS, MOST_TOTALS
from processors.live.window import WINDOW_S
from schemas.errors import RecordError
from schemas.ledger import CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse
from streams import clock, topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_DAY_S = HOURS * 3600.0
_SLACK_S = 10.0
_GATHER_MS = 250


@dataclass(frozen=True, slots=True)
class Back:
    """From how long ago on a topic is read, but from no fewer than `least` and no more than `most` records of a partition."""

    seconds: float
    least: int = 0
    most: int | None = None

    def offset(self, found: int, begin: int, end: int) -> int:
        """Where to begin, when the first record of that time stands at `found`.

        >>> Back(60, least=10, most=50).offset(900, 0, 1000), Back(60, least=10, most=50).offset(999, 0, 1000)
        (950, 990)
        """
        nearest = max(found, end - self.most) if self.most is not None else found
        return max(begin, min(nearest, end - self.least))


_BACK = {
    topics.RESPONSES: Back(WINDOW_S + _SLACK_S, least=2 * MOST_REQUESTS, most=MOST_MARKS // 2),
    topics.COST_TOTALS: Back(_DAY_S),
    topics.DEAD_LETTERS: Back(_DAY_S, least=2 * MOST_DEAD_LETTERS, most=MOST_DEAD),
}


class _Tail(Follower):
    async def _starts(self, consumer: Any, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        starts = await super()._starts(consumer, ends)
        begins = await consumer.beginning_offsets(list(ends))
        return {place: _BACK[place.topic].offset(found, begins[place], ends[place]) for place, found in starts.items()}


class Following:
    """Keeps `live` as the log has it."""

    def __init__(self, runtime: Runtime, live: Live) -> None:
        self._live = live
        self._responses = runtime.serde.of(InferenceResponse)
        self._totals = runtime.serde.of(CostTotal)
        self._dead_letters = runtime.serde.of(DeadLetter)
        self._older: dict[bytes, bytes] = {}
        """Totals of before the window, by key: the log has a line for each transaction, and the last one alone is decoded."""
        back_s = {topic: back.seconds for topic, back in _BACK.items()}
        self._follower = _Tail(
            runtime,
            "live",
            back_s,
            self._apply,
            started_over=self._forget,
            batch_done=self._settle,
            gather_ms=_GATHER_MS,
        )

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow in the background; in the body all is known that stood there at the start, unless Kafka took long."""
        async with self._follower.following():
            yield

    def _forget(self) -> None:
        self._older.clear()
        self._live.forget()

    def _apply(self, record: Any) -> None:
        if record.value is None:
            return
        try:
            self._fold(record)
        except RecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_record", **place, error=str(error), next_step="the live view goes on without it")

    def _fold(self, record: Any) -> None:
        now = clock.now()
        match record.topic:
            case topics.RESPONSES:
                self._live.answered(self._responses.decode(record.value), now)
            case topics.DEAD_LETTERS:
                self._live.died(self._dead_letters.decode(record.value))
            case topics.COST_TOTALS:
                is_older = clock.from_kafka_ms(record.timestamp) < now - timedelta(seconds=WINDOW_S + _SLACK_S)
                if is_older and len(self._older) < MOST_TOTALS:
                    self._older[record.key] = record.value
                    return
                if (older := self._older.pop(record.key, None)) is not None:
                    self._live.totalled(record.key, self._totals.decode(older), now)
                self._live.totalled(record.key, self._totals.decode(record.value), now)

    def _settle(self) -> None:
        """Decode the last total of each key that has not changed lately."""
        older, self._older, now = self._older, {}, clock.now()
        for key, value in older.items():
            try:
                self._live.totalled(key, self._totals.decode(value), now)
            except RecordError as error:
                log.warning("edge_unreadable_record", topic=topics.COST_TOTALS, error=str(error), next_step="it is not counted")
