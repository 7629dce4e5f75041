"""What the live view shows, folded from what the edge tells: a snapshot, then updates. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SNAPSHOT, UPDATE, ERROR = "snapshot", "update", "error"
_SILENT = {"answered": 0, "failed": 0, "cached": 0, "cost_nanousd": 0, "p50_ms": None, "p95_ms": None}
_ADDED = {"requests": 200, "dead_letters": 100}


@dataclass(slots=True)
class Board:
    """The fields of `GET /v1/live`, whole. Empty before the first snapshot."""

    fields: dict[str, Any] = field(default_factory=dict)

    def take(self, name: str, data: Mapping[str, Any]) -> None:
        """Fold one event. Raises KeyError, TypeError or ValueError for what is none: an edge of another version."""
        if name == SNAPSHOT:
            self.fields = dict(data)
            return
        for given, value in data.items():
            if given == "series":
                self.fields["series"] = merged(self.fields["series"], value, self.fields["window_s"])
            elif given in _ADDED:
                known = {entry["n"]: entry for entry in (*self.fields[given], *value)}
                self.fields[given] = [known[n] for n in sorted(known)][-_ADDED[given] :]
            else:
                self.fields[given] = value

    def list_of(self, name: str) -> list[Any]:
        """A field that is a list; empty where the edge tells none, to this key or yet."""
        return self.fields.get(name) or []

    def map_of(self, name: str) -> Mapping[str, Any]:
        return self.fields.get(name) or {}


def merged(old: Mapping[str, Any], new: Mapping[str, Any], window_s: int) -> dict[str, Any]:
    """The series with the seconds of `new` in the place of the same ones, or after them; the last `window_s` of all.

    >>> merged({"from_s": 7, "answered": [1, 2]}, {"from_s": 8, "answered": [5, 6]}, 2)["answered"]
    [5, 6]
    >>> merged({"from_s": 7, "answered": [1]}, {"from_s": 9, "answered": [3]}, 9)["answered"]
    [1, 0, 3]
    """
    seconds = {**_seconds(old), **_seconds(new)}
    if not seconds:
        return dict(old)
    last = max(seconds)
    first = max(min(seconds), last - window_s + 1)
    rows = [seconds.get(second, _SILENT) for second in range(first, last + 1)]
    return {"from_s": first, **{name: [row.get(name, silent) for row in rows] for name, silent in _SILENT.items()}}


def _seconds(series: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    columns = {name: series[name] for name in _SILENT if name in series}
    count = len(series["answered"])
    return {series["from_s"] + index: {name: column[index] for name, column in columns.items()} for index in range(count)}
