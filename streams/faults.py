"""Named kill points: off and free in normal runs.

`PENSTOCK_FAULT=<point>:<nth>[:kill|stop|raise|delay=<ms>]` acts at the nth passing of the point in this process; several are
separated by commas. `kill` (the default) is SIGKILL, `stop` is SIGSTOP, `raise` raises InjectedFault, `delay` blocks the loop.
`PENSTOCK_FAULT=@<file>` reads the same from a file that need not exist, and again whenever the file changes: running processes
are armed and disarmed from outside, and count from there. Each point of it acts once in the fleet: the process that acts leaves
`<file>.<point>`, one JSON object that says who, when and about what, and while that stands the point does not act again. So the
victim of a fault, started again, is spared.

K1   intake: before its produce is acknowledged
K2   dispatcher: folded, before commit
K3   dispatcher: commit sent, reply not read
K4   dispatcher: committed, before the next cycle
K5   worker: order consumed, before STARTED is acknowledged
K6   worker: STARTED acknowledged, before the request is sent
K7   worker: sent, no byte back
K8   worker: mid-stream
K9   worker: whole response, before COMPLETED is acknowledged
K10  worker: COMPLETED acknowledged, before the order's offset commits
"""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SettingsError

_LOOK_EVERY_S = 0.05


class InjectedFault(Exception):
    """What a fault point with the action `raise` raises."""


@dataclass(slots=True)
class _Fault:
    nth: int
    action: str
    passed: int = 0


def parse(text: str) -> dict[str, _Fault]:
    """Raises SettingsError when the text is not of the form above.

    >>> parse("K9:3:delay=50")["K9"].action
    'delay=50'
    """
    faults = {}
    for part in filter(None, text.split(",")):
        point_name, _, rest = part.partition(":")
        nth, _, action = rest.partition(":")
        action = action or "kill"
        if not nth.isdigit() or not (action in {"kill", "stop", "raise"} or action.removeprefix("delay=").isdigit()):
            raise SettingsError(f"PENSTOCK_FAULT={part!r} is not <point>:<nth>[:kill|stop|raise|delay=<ms>]")
        faults[point_name] = _Fault(int(nth), action)
    return faults


class _Armed:
    """What this process is told to do at which point; by a file, what the file says now."""

    def __init__(self, text: str) -> None:
        self._file = Path(text[1:]) if text.startswith("@") else None
        self._faults = {} if self._file else parse(text)
        self._version: tuple[int, int] | None = None
        self._look_at = 0.0

    def of(self, name: str) -> _Fault | None:
        """The fault of a point, None when it has none. A file is looked at once in _LOOK_EVERY_S at most."""
        if self._file is not None and (now_s := time.monotonic()) >= self._look_at:
            self._look_at = now_s + _LOOK_EVERY_S
            self._look(self._file)
        return self._faults.get(name)

    def claim(self, name: str, about: str) -> bool:
        """Whether this process is the one to act."""
        if self._file is None:
            return True
        mine = self._file.with_name(f"{self._file.name}.{name}.{os.getpid()}")
        mine.write_text(json.dumps({"point": name, "pid": os.getpid(), "at": time.time(), "about": about}), encoding="utf-8")
        try:
            self._file.with_name(f"{self._file.name}.{name}").hardlink_to(mine)
        except FileExistsError:
            return False
        finally:
            mine.unlink()
        return True

    def _look(self, file: Path) -> None:
        try:
            found = file.stat()
            version = (found.st_ino, found.st_mtime_ns)
            if version == self._version:
                return
            text = file.read_text(encoding="ascii")
        except FileNotFoundError:
            version, text = None, ""
        self._version, self._faults = version, parse(text.strip())


_armed = _Armed(text) if (text := os.environ.get("PENSTOCK_FAULT", "")) else None


def is_armed(name: str) -> bool:
    """Whether the kill point `name` may still act: for points that need an arrangement of their own."""
    return _armed is not None and (fault := _armed.of(name)) is not None and fault.passed < fault.nth


def point(name: str, about: str = "") -> None:
    """Pass the kill point `name`; `about` says what was at it. Raises InjectedFault when it is armed to."""
    if _armed is None or (fault := _armed.of(name)) is None:
        return
    fault.passed += 1
    if fault.passed != fault.nth or not _armed.claim(name, about):
        return
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault.action == "raise":
        raise InjectedFault(name)
    else:
        time.sleep(int(fault.action.removeprefix("delay=")) / 1000)
