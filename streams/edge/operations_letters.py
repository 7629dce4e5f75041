"""The last alerts and dead letters in this process: a follower of both topics, bounded."""

import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import structlog

from processors.health.alerts import standing
from schemas.errors import RecordError
from schemas.health import AlertRaised
from schemas.outcomes import DeadLetter
from streams import topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

_LETTERS = 1_000
_CHANGES = 5_000
"""Changes of alerts that are kept: some alert may stand since long ago, and few change at all."""


class Letters:
    """What somebody should look at: alerts that stand, and the last dead letters."""

    def __init__(self, runtime: Runtime) -> None:
        self._alerts = runtime.serde.of(AlertRaised)
        self._letters = runtime.serde.of(DeadLetter)
        self._told: deque[AlertRaised] = deque(maxlen=_CHANGES)
        self._last: deque[tuple[str, DeadLetter]] = deque(maxlen=_LETTERS)
        back_s: dict[str, float | None] = {topics.ALERTS: None, topics.DEAD_LETTERS: None}
        self._follower = Follower(runtime, "letters", back_s, self._apply, started_over=self._forget, gather_ms=None)

    @property
    def caught_up(self) -> bool:
        return self._follower.caught_up.is_set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Letters"]:
        async with self._follower.following():
            yield self

    def alerts(self) -> list[AlertRaised]:
        """Those that stand, the oldest first."""
        return sorted(standing(self._told).values(), key=lambda alert: (alert.since, alert.kind, alert.subject))

    def dead_letters(self) -> list[tuple[str, DeadLetter]]:
        """The last ones, each with its place in the topic."""
        return list(self._last)

    def _forget(self) -> None:
        self._told.clear()
        self._last.clear()

    def _apply(self, record: Any) -> None:
        if record.value is None:
            return
        try:
            if record.topic == topics.ALERTS:
                self._told.append(self._alerts.decode(record.value))
            else:
                self._last.append((f"{record.partition:04d}-{record.offset:015d}", self._letters.decode(record.value)))
        except RecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_record", **place, error=str(error), next_step="it is not shown")
