"""The project's data directory: who runs on it, on which ports, and where the running parts are.

`lock` is held, as an flock, by the process that runs the stack and by its leash: it is free only when every child is gone,
even after `kill -9`. `stack.json` says what runs, and counts only while the lock is held; `ports.json` keeps the addresses
for the next start.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.errors import SettingsError
from streams.embedded.ports import free_port, is_free

LEFTOVERS_TIMEOUT_S = 8.0
_LOGS_KEPT = 3


@dataclass(frozen=True, slots=True)
class RunningPart:
    pid: int
    address: str | None = None
    log: str | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class StackInfo:
    """What `stack.json` says: the addresses that commands need, and every part by its name."""

    pid: int
    bootstrap_servers: str
    redis_url: str | None
    schema_registry_url: str | None
    simulator_url: str | None
    simulator_log: str | None
    providers: tuple[str, ...] = ()
    parts: Mapping[str, RunningPart] = field(default_factory=dict)


class Project:
    """One data directory. Everything in it may be deleted while nothing runs; the log of requests goes with it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.run_dir = self.data_dir / "run"
        self._stack_file = self.data_dir / "stack.json"
        self._ports_file = self.data_dir / "ports.json"
        self._lock_file = self.data_dir / "lock"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[int]:
        """Hold the directory for this process; yields the lock's file descriptor, for the leash to hold as well.

        Raises SettingsError, naming the process, when another one holds it. Right after a `kill -9` it waits up to
        LEFTOVERS_TIMEOUT_S for the children to be gone.
        """
        self._make()
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            await self._acquire(descriptor)
            self._stack_file.unlink(missing_ok=True)  # of a stack that was killed
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def port(self, part: str, wanted: int, *, flag: str) -> int:
        """The port for a part: `wanted`, or for 0 the one it had at the last start, or any free one.

        Raises SettingsError when that port is taken.
        """
        recorded = self._ports().get(part, 0)
        port = wanted or recorded or free_port()
        if not is_free(port):
            whose = "" if wanted else f", which {part} had at its last start,"
            raise SettingsError(
                f"port {port}{whose} is taken by another program: stop that, or choose a port for {part} with {flag}"
            )
        if port != recorded:
            _write_atomically(self._ports_file, json.dumps(self._ports() | {part: port}, indent=1))
        return port

    def log(self, name: str) -> Path:
        """The log file of a part."""
        return self.data_dir / "logs" / f"{name.replace(':', '-')}.log"

    def rotate_logs(self) -> None:
        """Begin new log files; the last few of each are kept as `<name>.log.1` and so on."""
        for log in self.log("x").parent.glob("*.log"):
            for number in range(_LOGS_KEPT, 0, -1):
                older = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
                if older.exists():
                    older.replace(log.with_name(f"{log.name}.{number}"))

    def announce(self, info: StackInfo) -> None:
        """Say what runs, to commands started elsewhere."""
        _write_atomically(self._stack_file, json.dumps(asdict(info), indent=1))

    def withdraw(self) -> None:
        self._stack_file.unlink(missing_ok=True)

    def running(self) -> StackInfo | None:
        """The stack that runs on this directory; None when there is none, or its description was left by one that was killed."""
        try:
            said: dict[str, Any] = json.loads(self._stack_file.read_text())
        except FileNotFoundError:
            return None
        if not _exists(said["pid"]) or self._is_lockable():
            return None
        parts = {name: RunningPart(**part) for name, part in said.pop("parts").items()}
        return StackInfo(**said | {"providers": tuple(said["providers"]), "parts": parts})

    def _make(self) -> None:
        try:
            for directory in (self.run_dir, self.data_dir / "logs"):
                directory.mkdir(parents=True, exist_ok=True)
            (self.data_dir / ".gitignore").write_text("*\n")
        except OSError as error:
            raise SettingsError(
                f"cannot write to the data directory {self.data_dir} ({error.strerror}): choose another one with --data-dir"
            ) from error

    async def _acquire(self, descriptor: int) -> None:
        give_up = time.monotonic() + LEFTOVERS_TIMEOUT_S
        while not _try_lock(descriptor):
            holder = int(os.pread(descriptor, 32, 0) or b"0")
            if holder and _exists(holder):
                raise SettingsError(
                    f"a stack already runs on {self.data_dir} (process {holder}): use it, stop it with `kill {holder}`, or "
                    "choose another directory with --data-dir"
                )
            if time.monotonic() > give_up:
                raise SettingsError(
                    f"children of a stack that was killed (process {holder}) still hold {self.data_dir}: wait for them to end, "
                    "or choose another directory with --data-dir"
                )
            await asyncio.sleep(0.1)

    def _is_lockable(self) -> bool:
        try:
            with self._lock_file.open() as file:
                return _try_lock(file.fileno(), shared=True)
        except FileNotFoundError:  # deleted by hand: nobody who starts now would be kept out
            return True

    def _ports(self) -> dict[str, int]:
        try:
            ports: dict[str, int] = json.loads(self._ports_file.read_text())
        except FileNotFoundError:
            return {}
        return ports


def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.write_text(text)
    draft.replace(path)
