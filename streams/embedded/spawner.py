"""Processes that cannot outlive us: the near end of the leash (see `leash.py`)."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from schemas.errors import SettingsError

_LEASH = Path(__file__).with_name("leash.py")


@dataclass(eq=False, slots=True)
class Process:
    """A running child. `exited` resolves to its exit code; minus the signal's number when a signal ended it."""

    name: str
    pid: int
    exited: asyncio.Future[int]
    _spawner: "Spawner" = field(repr=False)
    _id: str = field(repr=False)

    @property
    def alive(self) -> bool:
        return not self.exited.done()

    def send_signal(self, number: int) -> None:
        """Signal the child and what it started; nothing when it has ended already, so a reused pid is never hit."""
        if self.alive:
            self._spawner.order({"signal": self._id, "number": int(number)})

    async def stop(self, *, grace_s: float, number: int = signal.SIGTERM) -> int:
        """Exit code after the signal `number` and, if `grace_s` was not enough, SIGKILL."""
        self.send_signal(number)
        self.send_signal(signal.SIGCONT)  # a stopped process would sleep through the grace
        done, _ = await asyncio.wait({self.exited}, timeout=grace_s)
        if not done:
            self.send_signal(signal.SIGKILL)
            await asyncio.wait({self.exited})
        return self.exited.result()


class Spawner:
    """Starts processes through one leash: `async with Spawner(log=...) as spawner`.

    Leaving the block, or dying, ends every process it started. `end_grace_s` is what the leash grants them between
    SIGTERM and SIGKILL when this process dies; an orderly stop calls `Process.stop` first.
    """

    def __init__(self, *, log: Path, end_grace_s: float = 2.0, held: Sequence[int] = ()) -> None:
        """`held`: file descriptors, of locks for instance, that the leash keeps open until the last process is gone."""
        self._log = log
        self._held = tuple(held)
        self._end_grace_s = end_grace_s
        self._closing = False
        self._ids = itertools.count()
        self._births: dict[str, asyncio.Future[Process]] = {}
        self._names: dict[str, str] = {}
        self._processes: dict[str, Process] = {}

    async def __aenter__(self) -> Self:
        near, far = socket.socketpair()
        with far, self._log.open("ab") as log:
            # Our own interpreter, isolated: neither PYTHONPATH nor site-packages slow it or steer it.
            self._leash = subprocess.Popen(  # noqa: S603, ASYNC220  (returns in a millisecond or two)
                [sys.executable, "-I", "-S", str(_LEASH), str(self._end_grace_s)],
                stdin=far.fileno(),
                stdout=log,
                stderr=log,
                pass_fds=self._held,
                start_new_session=True,
            )
        self._reader, self._writer = await asyncio.open_unix_connection(sock=near)
        self._listener = asyncio.create_task(self._listen(), name="leash reports")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        with contextlib.suppress(OSError):  # the leash was killed
            self._writer.write_eof()
        await self._listener
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await asyncio.to_thread(self._leash.wait)

    @property
    def pid(self) -> int:
        """The process id of the leash itself."""
        return self._leash.pid

    async def spawn(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> Process:
        """Start `argv` with exactly `env`, its output appended to `log`.

        Raises SettingsError when it cannot be executed, or when the leash is gone.
        """
        if self._closing or self._listener.done():
            raise SettingsError(f"cannot start {name}: the leash has ended, and its children with it; start the stack again")
        process_id = str(next(self._ids))
        self._names[process_id] = name
        birth: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._births[process_id] = birth
        self.order(
            {
                "spawn": process_id,
                "argv": list(argv),
                "env": dict(env),
                "cwd": str(cwd or Path.cwd()),
                "log": str(log),
            }
        )
        try:
            return await birth
        except OSError as error:
            raise SettingsError(f"cannot start {name}: {error}; check that {argv[0]} exists and may be executed") from error

    def order(self, order: Mapping[str, object]) -> None:
        if not self._closing:  # from then on the leash ends whatever it has
            self._writer.write(json.dumps(order).encode() + b"\n")

    async def _listen(self) -> None:
        while line := await self._read_line():
            report = json.loads(line)
            if "spawned" in report:
                self._born(report["spawned"], report["pid"])
            elif "failed" in report:
                del self._names[report["failed"]]
                self._births.pop(report["failed"]).set_exception(OSError(report["error"]))
            else:
                self._ended(report["exited"], report["code"])
        self._leash_is_gone()

    def _born(self, process_id: str, pid: int) -> None:
        process = Process(self._names.pop(process_id), pid, asyncio.get_running_loop().create_future(), self, process_id)
        self._processes[process_id] = process
        birth = self._births.pop(process_id)
        if birth.cancelled():  # whoever wanted it was cancelled meanwhile
            process.send_signal(signal.SIGKILL)
        else:
            birth.set_result(process)

    def _ended(self, process_id: str, code: int) -> None:
        exited = self._processes.pop(process_id).exited
        if not exited.done():  # whoever waited for it was cancelled meanwhile, and the future with it
            exited.set_result(code)

    async def _read_line(self) -> bytes:
        try:
            return await self._reader.readline()
        except ConnectionError:  # the leash was killed with our orders unread
            return b""

    def _leash_is_gone(self) -> None:
        for birth in self._births.values():
            if not birth.done():
                birth.set_exception(OSError("the leash has ended"))
        self._births.clear()
        for process in self._processes.values():
            # On Linux the kernel has done this already; elsewhere nobody else would.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        for process_id in tuple(self._processes):
            self._ended(process_id, -signal.SIGKILL)
