"""Tells how the parts of a stack are doing: one readiness line each, a progress bar while jars download."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from streams.cli import screen
from streams.embedded.events import Downloading, Exited, Failed, Ready, Restarted, StackEvent, Starting, Stopped

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_MEBIBYTE = 1 << 20
_QUARTER = 4


class PartLines:
    """Takes a stack's events. For people: lines on standard error; with `as_json`: one object an event on standard output."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._quarters = -1
        self._stopping = False

    def stopping(self) -> None:
        """From now on, parts that end are meant to."""
        self._stopping = True

    def __call__(self, event: StackEvent) -> None:
        if self._as_json:
            screen.put_json({"event": type(event).__name__.lower(), **asdict(event)})
            return
        match event:
            case Downloading(name, done_bytes, total_bytes):
                self._download(name, done_bytes, total_bytes)
            case Starting() | Stopped():
                pass
            case Ready(name, _, address, took_s):
                self._end_bar()
                screen.say(f"  {name:<18} {address or 'ready':<32} {took_s:5.1f} s")
            case Exited(name, exit_code, restart_in_s) if not self._stopping:
                screen.say(f"  {name:<18} ended with code {exit_code}; starts again in {restart_in_s:g} s")
            case Restarted(name, _, restarts):
                screen.say(f"  {name:<18} ready again (restart {restarts})")
            case Failed(name, reason):
                self._end_bar()
                screen.say(f"  {name:<18} FAILED: {reason}")
            case _:
                pass

    def _download(self, name: str, done_bytes: int, total_bytes: int) -> None:
        if not sys.stderr.isatty():
            quarters = done_bytes * _QUARTER // max(1, total_bytes)
            if quarters > self._quarters:
                self._quarters = quarters
                screen.say(f"  {name:<18} downloading: {done_bytes // _MEBIBYTE} of {total_bytes // _MEBIBYTE} MiB")
            return
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task(f"  {name}: first start, downloading", total=total_bytes)
            self._bar.start()
        if self._task is not None:
            self._bar.update(self._task, completed=done_bytes, total=total_bytes)
        if done_bytes >= total_bytes:
            self._end_bar()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _bar() -> Any:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen.console(stderr=True), transient=True)
