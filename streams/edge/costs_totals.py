"""The cost totals in this process: a follower of ai.cost-totals, decoded when they are asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog

from schemas.errors import RecordError
from schemas.ledger import CostTotal
from schemas.serde import Codec
from streams import topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)


class CostTotals:
    """The latest total of every key; read committed, so that they are absolute sums and never half of a change."""

    def __init__(self, runtime: Runtime) -> None:
        self._codec = runtime.serde.of(CostTotal)
        self._totals: dict[bytes, CostTotal] = {}
        self._arrived: dict[bytes, bytes | None] = {}
        self._turn = asyncio.Lock()
        self._follower = Follower(
            runtime, "cost-totals", {topics.COST_TOTALS: None}, self._apply, started_over=self._forget, gather_ms=None
        )

    @property
    def caught_up(self) -> bool:
        return self._follower.caught_up.is_set()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["CostTotals"]:
        """Follow in the background; in the body all totals are known, unless that took over five seconds."""
        async with self._follower.following():
            yield self

    async def by_key(self) -> dict[bytes, CostTotal]:
        """All totals by their keys, as of now. Those that came since the last time are decoded in a thread: there may be many."""
        async with self._turn:
            arrived, self._arrived = self._arrived, {}
            if arrived:
                decoded = await asyncio.to_thread(_decoded, arrived, self._codec)
                for key in arrived:
                    self._totals.pop(key, None)
                self._totals.update(decoded)
            return dict(self._totals)

    def _forget(self) -> None:
        self._totals.clear()
        self._arrived.clear()

    def _apply(self, record: Any) -> None:
        self._arrived[record.key or b""] = record.value


def _decoded(arrived: Mapping[bytes, bytes | None], codec: Codec[CostTotal]) -> dict[bytes, CostTotal]:
    totals = {}
    for key, value in arrived.items():
        try:
            if value is not None:
                totals[key] = codec.decode(value)
        except RecordError as error:
            log.warning("cost_total_unreadable", key=key.decode(errors="replace"), reason=error.reason)
    return totals
