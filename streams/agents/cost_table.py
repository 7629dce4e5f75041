"""Table `cost-totals`: the newest absolute total of every lane, provider, model and hour, held by every instance."""

from collections.abc import Iterator
from typing import Any

import structlog

from schemas.errors import RecordError
from schemas.ledger import CostTotal
from schemas.serde import Serde
from streams import topics
from streams.faust_host import Host

log = structlog.get_logger(__name__)

NAME = "cost-totals"


class CostTable:
    """A cache of ai.cost-totals: read-only, whole once the app has started, and rebuilt from the topic when it is lost."""

    def __init__(self, app: Host, serde: Serde) -> None:
        """Declare the table on an app that has not started."""
        self._table: Any = app.table(NAME, topics.COST_TOTALS)
        self._codec = serde.of(CostTotal)

    def __len__(self) -> int:
        return len(self._table)

    def get(self, key: str) -> CostTotal | None:
        """The total under a key as `processors.cost.totals.total_key` makes it. Raises RecordError when it cannot be read."""
        value = self._table.get(key.encode())
        return None if value is None else self._codec.decode(value)

    def totals(self) -> Iterator[CostTotal]:
        """All totals; decoded here, so that following the topic costs nothing. One that cannot be read is told in the log."""
        for key, value in list(self._table.items()):
            try:
                yield self._codec.decode(value)
            except RecordError as error:
                log.warning("cost_total_unreadable", key=key.decode(errors="replace"), reason=error.reason)
