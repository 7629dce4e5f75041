"""What one audience watches, and what it is told: everything first, then what has changed. Pure."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from processors.live.entries import Answer, Dead
from processors.live.spend import Spend
from processors.live.window import WINDOW_S, Window

MOST_REQUESTS = 200
MOST_DEAD_LETTERS = 100
NEW_REQUESTS = 40
"""An update tells so many at most, the newest: nobody reads more in a second."""
_SPEND_EVERY_S = 2

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is told beside a scope's own. `lag` None: not for this audience, or not asked yet."""

    health: Rows
    lag: Rows | None
    partial: bool = False


@dataclass(slots=True)
class _Told:
    """What the audience knows already."""

    n: int = 0
    spend_changes: int = 0
    spend_s: int = 0
    around: Surroundings = field(default_factory=lambda: Surroundings([], None))


@dataclass(slots=True)
class Scope:
    """`anew`: what was told is void, and the audience must be told everything again."""

    tenant: str | None
    window: Window = field(default_factory=Window)
    spend: Spend = field(default_factory=Spend)
    requests: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_REQUESTS))
    dead_letters: deque[Dead] = field(default_factory=lambda: deque(maxlen=MOST_DEAD_LETTERS))
    anew: bool = True
    _told: _Told = field(default_factory=_Told)

    def snapshot(self, now: datetime, around: Surroundings) -> dict[str, Any]:
        """Everything. Updates that were made before may be read after it: they say nothing that it contradicts."""
        now_s = int(now.timestamp())
        return {
            "at": now,
            "tenant": self.tenant,
            "window_s": WINDOW_S,
            "series": self.window.whole(now_s),
            "minute": self.window.minute(now_s),
            "spend": self.spend.told(now, partial=around.partial),
            "health": around.health,
            "lag": around.lag,
            "requests": list(self.requests),
            "dead_letters": list(self.dead_letters),
        }

    def update(self, now: datetime, around: Surroundings) -> dict[str, Any]:
        """What has changed since the last update."""
        now_s, told = int(now.timestamp()), self._told
        update: dict[str, Any] = {"at": now, "series": self.window.changed(now_s), "minute": self.window.minute(now_s)}
        if told.spend_changes != self.spend.changes and now_s - told.spend_s >= _SPEND_EVERY_S:
            told.spend_changes, told.spend_s = self.spend.changes, now_s
            update["spend"] = self.spend.told(now, partial=around.partial)
        for name in ("health", "lag"):
            if getattr(around, name) != getattr(told.around, name):
                update[name] = getattr(around, name)
        told.around = around
        if requests := _since(self.requests, told.n)[-NEW_REQUESTS:]:
            update["requests"] = requests
        if dead_letters := _since(self.dead_letters, told.n):
            update["dead_letters"] = dead_letters
        told.n = max([told.n, *(entries[-1].n for entries in (self.requests, self.dead_letters) if entries)])
        return update


def _since(entries: deque[Any], n: int) -> list[Any]:
    """The entries after number `n`, the oldest first."""
    found: list[Any] = []
    for entry in reversed(entries):
        if entry.n <= n:
            break
        found.append(entry)
    return found[::-1]
