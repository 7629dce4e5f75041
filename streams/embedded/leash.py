"""The leash: a small process that owns the children of `penstock up`, so that none outlives it.

Run as `python -I -S leash.py GRACE_S` with one end of a Unix socket pair as its standard input. It starts what the
other end asks for, reports exits, forwards signals, and when the socket closes or the parent is gone (`kill -9`
included) it ends every child's process group: SIGTERM, GRACE_S seconds, SIGKILL.

Why a process, and why not a parent-death signal set by the parent itself:

1. A child here is born as a child of the leash: there is no moment at which it runs and nobody watches it.
2. Linux sends PR_SET_PDEATHSIG when the *thread* that forked ends, and it takes a `preexec_fn`, which may deadlock in
   a process with threads. The leash has one thread, so here both are safe; they cover the one case left, `kill -9` of
   the leash.
3. The closing of a socket works the same on macOS, and a process group takes grandchildren along.

The protocol is one JSON object a line. In: `{"spawn": id, "argv", "env", "cwd", "log"}`, `{"signal": id, "number": n}`.
Out: `{"spawned": id, "pid"}` or `{"failed": id, "error"}`, and later `{"exited": id, "code"}` (negative: the signal).
Only the standard library is imported, and little of it: the start takes 30 ms of CPU, once for a whole stack, and the process
has 12 MiB, of which half are shared with every other Python.
"""

import contextlib
import ctypes
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PARENT_CHECK_S = 1.0  # for a parent that died while a fork of it still holds the socket open


class Leash:
    def __init__(self, channel: socket.socket, *, grace_s: float) -> None:
        self._channel = channel
        self._grace_s = grace_s
        self._parent_pid = os.getppid()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._die_with_me = _parent_death_signal()

    def run(self) -> None:
        """Serve until the parent is gone, then leave nothing behind."""
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        channel = self._channel.fileno()
        received = b""
        while os.getppid() == self._parent_pid:
            ready, _, _ = select.select([channel, wake_read], [], [], _PARENT_CHECK_S)
            if wake_read in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_read, 4096)
            if channel in ready:
                chunk = self._channel.recv(65536)
                if not chunk:
                    break
                *lines, received = (received + chunk).split(b"\n")
                for line in lines:
                    self._obey(json.loads(line))
            self._report_exits()
        self._end_all()

    def _obey(self, order: dict[str, Any]) -> None:
        if "spawn" in order:
            self._spawn(order)
        elif (child := self._children.get(order["signal"])) is not None:
            _signal_group(child.pid, order["number"])

    def _spawn(self, order: dict[str, Any]) -> None:
        try:
            with Path(order["log"]).open("ab") as log:
                child = subprocess.Popen(  # noqa: S603  (the argv comes from our own parent, without a shell)
                    order["argv"],
                    env=order["env"],
                    cwd=order["cwd"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=self._die_with_me,  # noqa: PLW1509  (this process has one thread)
                )
        except OSError as error:
            self._tell({"failed": order["spawn"], "error": str(error)})
            return
        self._children[order["spawn"]] = child
        self._tell({"spawned": order["spawn"], "pid": child.pid})

    def _report_exits(self) -> None:
        for child_id, child in list(self._children.items()):
            if (code := child.poll()) is not None:
                del self._children[child_id]
                _signal_group(child.pid, signal.SIGKILL)  # what it started ends with it
                self._tell({"exited": child_id, "code": code})

    def _end_all(self) -> None:
        for number, seconds in ((signal.SIGTERM, self._grace_s), (signal.SIGKILL, math.inf)):
            for child in self._children.values():
                _signal_group(child.pid, number)
            give_up = time.monotonic() + seconds
            while self._children and time.monotonic() < give_up:
                time.sleep(0.02)
                self._report_exits()

    def _tell(self, report: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the parent is gone; the loop notices at its next turn
            self._channel.sendall(json.dumps(report).encode() + b"\n")


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group has ended; macOS says EPERM for zombies
        os.killpg(pid, number)


def _parent_death_signal() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    leash_pid = os.getpid()

    def die_with_me() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != leash_pid:  # the leash died between fork and prctl
            os._exit(1)

    return die_with_me


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Signals are for the parent, which then stops us in order. A handler, since children would inherit SIG_IGN.
        signal.signal(number, lambda *_: None)
    Leash(socket.socket(fileno=0), grace_s=float(sys.argv[1])).run()


if __name__ == "__main__":
    main()
