"""The clock: the one place that reads the time of day for decisions.

`PENSTOCK_CLOCK_OFFSET_FILE` names a file with a number of seconds by which this process's clock is wrong, for trying what that
does; it need not exist, and is looked at again when it changes. Without the variable the clock is the system's, at no cost.
"""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

OFFSET_FILE_VARIABLE = "PENSTOCK_CLOCK_OFFSET_FILE"
_LOOK_EVERY_S = 0.05
_SLEW = 0.1


def _system_now() -> datetime:
    return datetime.now(UTC)


def _wrong_now(file: Path) -> Callable[[], datetime]:
    """A clock that goes wrong by what the file says now."""
    offset, look_at_s = timedelta(), 0.0

    def wrong_now() -> datetime:
        nonlocal offset, look_at_s
        if time.monotonic() >= look_at_s:
            look_at_s = time.monotonic() + _LOOK_EVERY_S
            offset = timedelta(seconds=float(file.read_text(encoding="ascii"))) if file.exists() else timedelta()
        return _system_now() + offset

    return wrong_now


def _clock() -> Callable[[], datetime]:
    named = os.environ.get(OFFSET_FILE_VARIABLE)
    return _wrong_now(Path(named)) if named else _system_now


now = _clock()
"""The current time, UTC, in whole microseconds."""


class SteadyClock:
    """The time of day for whoever holds timers: it takes no step, it closes in on `now` by a tenth of the time that passes.

    A clock that is set ahead by ten minutes would otherwise make every call under way count as lost at once, and one that is set
    back would have retries wait for as long. Time that a machine sleeps counts as passed, where the system can tell.
    """

    def __init__(self, wall: Callable[[], datetime] | None = None, passing_s: Callable[[], float] | None = None) -> None:
        self._wall, self._passing_s = wall or now, passing_s or _awake_or_not_s
        self._shown, self._read_s = self._wall(), self._passing_s()

    def now(self) -> datetime:
        """The current time, UTC, never before an earlier answer."""
        read_s = self._passing_s()
        passed_s, self._read_s = read_s - self._read_s, read_s
        steady = self._shown + timedelta(seconds=passed_s)
        most = timedelta(seconds=passed_s * _SLEW)
        self._shown = steady + min(max(self._wall() - steady, -most), most)
        return self._shown


def _awake_or_not_s() -> float:
    """Seconds of a clock that nobody sets; with those asleep, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def from_kafka_ms(timestamp_ms: int) -> datetime:
    """A Kafka record timestamp as a datetime.

    >>> from_kafka_ms(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
