"""Named kill points: off and free in normal runs.

`PENSTOCK_FAULT=<point>:<nth>[:kill|stop|raise|delay=<ms>]` acts at the nth passing of the point in this process; several are
separated by commas. `kill` (the default) is SIGKILL, `stop` is SIGSTOP, `raise` raises InjectedFault, `delay` blocks the loop.
`PENSTOCK_FAULT=@<file>` reads the same from a file, which is renamed to `<file>.acted` by the process that acts: so a fault
happens once in a fleet, and not again when its victim is restarted.

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

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import SettingsError


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


def _read(text: str) -> tuple[Mapping[str, _Fault], Path | None]:
    if not text.startswith("@"):
        return parse(text), None
    path = Path(text[1:])
    return (parse(path.read_text(encoding="ascii").strip()) if path.exists() else {}), path


_armed, _file = _read(os.environ.get("PENSTOCK_FAULT", ""))


def is_armed(name: str) -> bool:
    """Whether the kill point `name` may still act: for points that need an arrangement of their own."""
    fault = _armed.get(name)
    return fault is not None and fault.passed < fault.nth


def point(name: str) -> None:
    """Pass the kill point `name`. Raises InjectedFault when it is armed to."""
    if not _armed or (fault := _armed.get(name)) is None:
        return
    fault.passed += 1
    if fault.passed != fault.nth or not _may_act():
        return
    if fault.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif fault.action == "raise":
        raise InjectedFault(name)
    else:
        time.sleep(int(fault.action.removeprefix("delay=")) / 1000)


def _may_act() -> bool:
    """Whether no other process acted on the same file before."""
    if _file is None:
        return True
    try:
        _file.rename(_file.with_name(f"{_file.name}.acted"))
    except FileNotFoundError:
        return False
    return True
