"""The call log's writer: appends on a thread of its own, and many lines share one fsync.

The event loop collects the lines of one turn and hands them over at its end; the thread writes whatever it finds, syncs
once, and then releases all who wait for it. While it syncs, the next batch gathers: the busier, the larger.
"""

import asyncio
import fcntl
import os
import stat
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from schemas.errors import SettingsError

_TAIL_BYTES = 1024 * 1024
_Batch = tuple[list[bytes], list["asyncio.Future[None]"]]


class CallLogWriter:
    """Appends lines to a file that no other process may write. Raises SettingsError when it cannot have the file.

    `failed` gets the OSError when the disk refuses: from then on no call is answered.
    """

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self._fd = _opened(path)
        self._fsync = fsync
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._lines: list[bytes] = []
        self._waiters: list[asyncio.Future[None]] = []
        self.failed: asyncio.Future[OSError] = self._loop.create_future()
        self._thread = Thread(target=self._run, name="call-log", daemon=True)
        self._thread.start()

    def append(self, line: bytes) -> None:
        """Write the line soon; nobody waits for it."""
        if not self._lines:
            self._loop.call_soon(self._hand_over)
        self._lines.append(line)

    def append_synced(self, line: bytes) -> "asyncio.Future[None]":
        """Write the line; the future ends when it is on the disk, with the OSError when it cannot be."""
        self.append(line)
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        return waiter

    async def close(self) -> None:
        """Write and sync what is left, and let go of the file."""
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        os.close(self._fd)

    def _hand_over(self) -> None:
        if self._lines:
            self._queue.put((self._lines, self._waiters))
            self._lines, self._waiters = [], []

    def _run(self) -> None:
        closing = False
        while not closing:
            lines: list[bytes] = []
            waiters: list[asyncio.Future[None]] = []
            batch = self._queue.get()
            while True:
                if batch is None:
                    closing = True
                else:
                    lines += batch[0]
                    waiters += batch[1]
                if self._queue.empty():
                    break
                batch = self._queue.get()
            error = self._write(b"".join(lines), sync=closing or bool(waiters))
            if waiters or error is not None:
                self._loop.call_soon_threadsafe(self._release, waiters, error)

    def _write(self, data: bytes, *, sync: bool) -> OSError | None:
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            if sync and self._fsync:
                os.fsync(self._fd)
        except OSError as error:
            return error
        return None

    def _release(self, waiters: "list[asyncio.Future[None]]", error: OSError | None) -> None:
        if error is not None and not self.failed.done():
            self.failed.set_result(error)
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


def _opened(path: Path) -> int:
    """A descriptor at the end of the last whole line; a torn one, which no reply waited for, is cut off."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SettingsError(f"the call log {path} cannot be opened: {error.strerror}; choose another file") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise SettingsError(
            f"another simulator writes the call log {path}; stop it, or choose another file (--call-log)"
        ) from error
    state = os.fstat(fd)
    if not stat.S_ISREG(state.st_mode):
        return fd
    size = state.st_size
    tail = os.pread(fd, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn:
        os.ftruncate(fd, size - torn)
    return fd
