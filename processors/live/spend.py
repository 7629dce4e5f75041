"""Money of the last 24 hours by model, tenant and hour: a fold of the hourly totals. Pure and bounded."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from sys import intern
from typing import Any, NamedTuple

from processors.cost.totals import hour_of
from schemas.ledger import CostTotal

HOURS = 24
MOST_TOTALS = 30_000
"""Totals that are kept: about 20 MB. Beyond, sums are marked as partial."""
MOST_ROWS = 12
_HOUR = timedelta(hours=1)


class Sums(NamedTuple):
    """Amounts in 1e-9 US dollars. A NamedTuple: there are tens of thousands."""

    cost_nanousd: int = 0
    avoided_nanousd: int = 0
    calls: int = 0
    cache_hits: int = 0
    unpriced_calls: int = 0

    def plus(self, other: "Sums") -> "Sums":
        return Sums(*(one + more for one, more in zip(self, other, strict=True)))

    def minus(self, other: "Sums") -> "Sums":
        return Sums(*(one - less for one, less in zip(self, other, strict=True)))


NOTHING = Sums()


class Total(NamedTuple):
    """The newest total of one lane, provider, model and hour."""

    tenant: str
    model: str
    hour: datetime
    sums: Sums


def total_of(record: CostTotal) -> Total:
    sums = Sums(record.cost_nanousd, record.avoided_nanousd, record.calls, record.cache_hits, record.unpriced_calls)
    return Total(intern(record.tenant), intern(f"{record.provider}/{record.model}"), record.hour, sums)


@dataclass(slots=True)
class Totals:
    """The newest total of each key, of hours that count."""

    by_key: dict[bytes, Total] = field(default_factory=dict)
    since: datetime | None = None
    partial: bool = False

    def take(self, key: bytes, total: Total) -> Total | None:
        """What the total adds to what was known; None when it is of another day, or one too many.

        The first total of a key counts in full: the log has all that were written since its hour began.
        """
        if self.since is not None and total.hour < self.since:
            return None
        before = self.by_key.get(key)
        if before is None and len(self.by_key) >= MOST_TOTALS:
            self.partial = True
            return None
        self.by_key[key] = total
        return total._replace(sums=total.sums.minus(before.sums if before is not None else NOTHING))

    def begin(self, now: datetime) -> bool:
        """Whether another hour has begun; what is no longer of the last 24 is forgotten then."""
        since = hour_of(now) - (HOURS - 1) * _HOUR
        if since == self.since:
            return False
        self.since = since
        self.by_key = {key: total for key, total in self.by_key.items() if total.hour >= since}
        self.partial = self.partial and len(self.by_key) >= MOST_TOTALS
        return True


@dataclass(slots=True)
class Spend:
    """The sums of one scope; `changes` rises with each change."""

    by_model: dict[str, Sums] = field(default_factory=dict)
    by_tenant: dict[str, Sums] = field(default_factory=dict)
    by_hour: dict[datetime, Sums] = field(default_factory=dict)
    changes: int = 0

    def add(self, more: Total) -> None:
        self.by_model[more.model] = self.by_model.get(more.model, NOTHING).plus(more.sums)
        self.by_tenant[more.tenant] = self.by_tenant.get(more.tenant, NOTHING).plus(more.sums)
        self.by_hour[more.hour] = self.by_hour.get(more.hour, NOTHING).plus(more.sums)
        self.changes += 1

    def told(self, now: datetime, *, partial: bool) -> dict[str, Any]:
        this = hour_of(now)
        hours = [this - back * _HOUR for back in reversed(range(HOURS))]
        day = NOTHING
        for hour in hours:
            day = day.plus(self.by_hour.get(hour, NOTHING))
        return {
            "hour_nanousd": self.by_hour.get(this, NOTHING).cost_nanousd,
            "day_nanousd": day.cost_nanousd,
            "day_avoided_nanousd": day.avoided_nanousd,
            "day_calls": day.calls,
            "day_cache_hits": day.cache_hits,
            "day_unpriced_calls": day.unpriced_calls,
            "by_model": _dearest(self.by_model),
            "by_tenant": _dearest(self.by_tenant),
            "by_hour": [_row(hour, self.by_hour.get(hour, NOTHING)) for hour in hours],
            "partial": partial,
        }


def summed(totals: Iterable[Total], tenant: str | None, *, changes: int = 0) -> Spend:
    """The sums of a tenant's totals; None: of everybody's."""
    spend = Spend(changes=changes)
    for total in totals:
        if tenant is None or total.tenant == tenant:
            spend.add(total)
    return spend


def _dearest(sums: dict[str, Sums]) -> list[dict[str, Any]]:
    """The dearest, and the rest as one without a name."""
    chosen = heapq.nsmallest(MOST_ROWS, sums, key=lambda name: (-sums[name].cost_nanousd, -sums[name].calls, name))
    rows = [_row(name, sums[name]) for name in chosen]
    if len(sums) > len(chosen):
        rest, known = NOTHING, set(chosen)
        for name, each in sums.items():
            if name not in known:
                rest = rest.plus(each)
        rows.append(_row(None, rest))
    return rows


def _row(name: str | datetime | None, sums: Sums) -> dict[str, Any]:
    return {
        "name": name,
        "cost_nanousd": sums.cost_nanousd,
        "avoided_nanousd": sums.avoided_nanousd,
        "calls": sums.calls,
        "cache_hits": sums.cache_hits,
    }
