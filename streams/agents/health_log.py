"""What the log says beside the calls' health: alerts that stand, calls of unknown price, dead letters."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import structlog

from processors.health.alerts import QUIET_FOR, Key, Tally, key_of
from schemas.errors import RecordError
from schemas.health import AlertRaised, AlertState
from schemas.ledger import CostEvent, CostKind, PricingStatus
from schemas.outcomes import DeadLetter
from streams import clock, topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)


class HealthLog:
    """`raised` are the alerts that stand, from the whole of ai.alerts; the tallies go back as far as a tally counts."""

    def __init__(self, runtime: Runtime) -> None:
        self._serde = runtime.serde
        self._raised: dict[Key, AlertRaised] = {}
        self._unpriced: dict[str, Tally] = {}
        self._dead_letters: dict[str, Tally] = {}
        self._given_up: dict[str, Tally] = {}
        quiet_s = QUIET_FOR.total_seconds()
        self._follower = Follower(
            runtime,
            "alerts",
            {topics.ALERTS: None, topics.COSTS: quiet_s, topics.DEAD_LETTERS: quiet_s},
            self._apply,
            started_over=self._start_over,
            gather_ms=1_000,
        )

    @property
    def raised(self) -> Mapping[Key, AlertRaised]:
        return self._raised

    @property
    def unpriced(self) -> Mapping[str, Tally]:
        return self._unpriced

    @property
    def dead_letters(self) -> Mapping[str, Tally]:
        return self._dead_letters

    @property
    def given_up(self) -> Mapping[str, Tally]:
        return self._given_up

    @property
    def caught_up(self) -> bool:
        return self._follower.caught_up.is_set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["HealthLog"]:
        async with self._follower.following():
            yield self

    def take(self, alert: AlertRaised) -> None:
        """An alert that stands in the log. Taken twice it changes nothing."""
        if alert.state is AlertState.RAISED:
            self._raised[key_of(alert)] = alert
        elif alert.state is AlertState.RESOLVED:
            self._raised.pop(key_of(alert), None)

    def _start_over(self) -> None:
        for held in (self._raised, self._unpriced, self._dead_letters, self._given_up):
            held.clear()

    def _apply(self, record: Any) -> None:
        try:
            self._read(record)
        except RecordError as error:
            log.warning("record_unreadable", topic=record.topic, offset=record.offset, reason=error.reason)

    def _read(self, record: Any) -> None:
        at = clock.from_kafka_ms(record.timestamp)
        if record.topic == topics.ALERTS:
            self.take(self._serde.of(AlertRaised).decode(record.value))
        elif record.topic == topics.DEAD_LETTERS:
            self._count_letter(self._serde.of(DeadLetter).decode(record.value), at)
        else:
            cost = self._serde.of(CostEvent).decode(record.value)
            if cost.kind is CostKind.CALL and cost.pricing_status is PricingStatus.UNKNOWN:
                _count(self._unpriced, f"{cost.provider}/{cost.model}", at)

    def _count_letter(self, letter: DeadLetter, at: datetime) -> None:
        if letter.topic == topics.WEBHOOK_DELIVERIES:
            _count(self._given_up, letter.reason, at)
        else:
            _count(self._dead_letters, letter.topic, at)


def _count(tallies: dict[str, Tally], subject: str, at: datetime) -> None:
    known = tallies.get(subject)
    tallies[subject] = Tally(1, at, at) if known is None else known.and_at(at)
