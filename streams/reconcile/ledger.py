"""Reads the ledger, once and on from there, as committed readers see it."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from aiokafka.structs import TopicPartition

from processors.cost import totals
from schemas.errors import RecordError, SettingsError
from schemas.ledger import CostEvent, CostKind
from schemas.serde import Serde

Record: TypeAlias = Any  # aiokafka's ConsumerRecord, which has no types
_BATCH = 1_000


class Log(Protocol):
    """A reader of ai.costs that stands where it stopped."""

    async def ends(self) -> Mapping[TopicPartition, int]: ...

    def until(self, ends: Mapping[TopicPartition, int]) -> AsyncIterator[Record]: ...


class Ledger:
    """Hands the cost events on in batches, and notes what is adjusted on the way."""

    def __init__(self, log: Log, serde: Serde, take: Callable[[Iterable[CostEvent]], None]) -> None:
        self._log, self._codec, self._take = log, serde.of(CostEvent), take
        self.events = self.adjustments = 0
        self.adjusted_at: dict[str, datetime] = {}
        """By key of a total: when the last adjustment in it was recorded. Cleared by whoever waits for those to come."""

    async def catch_up(self) -> None:
        """Read what is committed now. Raises SettingsError for a record that cannot be read: a part is no ledger."""
        batch: list[CostEvent] = []
        async for record in self._log.until(await self._log.ends()):
            batch.append(self._event(record))
            if len(batch) == _BATCH:
                self._take(batch)
                batch = []
        self._take(batch)

    def _event(self, record: Record) -> CostEvent:
        try:
            event = self._codec.decode(record.value)
        except RecordError as error:
            raise SettingsError(f"{record.topic}[{record.partition}]@{record.offset} cannot be read: {error}") from error
        self.events += 1
        if event.kind is CostKind.ADJUSTED:
            self.adjustments += 1
            key = totals.total_key(event)
            self.adjusted_at[key] = max(self.adjusted_at.get(key, event.recorded_at), event.recorded_at)
        return event
