"""Publishes requests, as fast as the broker takes them or at given times, and keeps book of what it acknowledged."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from aiokafka.errors import KafkaError

from schemas.errors import MalformedRecord, SettingsError
from schemas.requests import InferenceRequest
from schemas.serde import Codec
from streams import topics
from streams.publisher import Outgoing, Publisher

MAX_UNACKNOWLEDGED = 2_000
MAX_UNACKNOWLEDGED_BYTES = 32_000_000


class AcknowledgedLog:
    """One JSON line a request that the broker has acknowledged, on the disk before `close` returns; never one that it has not.

    Lines are synced in groups: a crash may lose lines of the last moments, so what stands in the log was surely acknowledged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SettingsError(f"cannot write {path} ({error.strerror}): choose another --acknowledged-log") from error
        self._lines: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None

    def add(self, request: InferenceRequest) -> None:
        line = {"tenant": request.tenant, "request_id": request.request_id}
        self._lines.append(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Raises OSError when the disk took no more lines."""
        try:
            if self._writing is not None:
                await self._writing
        finally:
            os.close(self._file)

    async def _write(self) -> None:
        while self._lines:
            lines, self._lines = self._lines, []
            await asyncio.to_thread(self._write_synced, b"".join(lines))

    def _write_synced(self, block: bytes) -> None:
        while block:
            block = block[os.write(self._file, block) :]
        os.fsync(self._file)


class Sender:
    """Hands requests to the publisher and counts what became of them. `on_lost` hears of each that was not acknowledged."""

    def __init__(
        self,
        publisher: Publisher,
        codec: Codec[InferenceRequest],
        *,
        log: AcknowledgedLog | None = None,
        on_acknowledged: Callable[[InferenceRequest], None] = lambda _: None,
        on_lost: Callable[[InferenceRequest], None] = lambda _: None,
    ) -> None:
        self._publisher = publisher
        self._codec = codec
        self._log = log
        self._on_acknowledged = on_acknowledged
        self._on_lost = on_lost
        self._waiting = self._waiting_bytes = 0
        self._room = asyncio.Event()
        self.acknowledged = 0
        self.error: KafkaError | None = None

    def encode(self, request: InferenceRequest) -> Outgoing:
        """The record of a request. Raises MalformedRecord when it is too large or does not fit its schema."""
        value = self._codec.encode(request)
        if not request.tenant:
            raise MalformedRecord("invalid", "`tenant` must not be empty")
        return Outgoing(topics.REQUESTS, request.tenant, value)

    async def send(self, request: InferenceRequest, record: Outgoing) -> None:
        """Return when the record is handed over; waits for the broker only while too much is unacknowledged.

        Raises the KafkaError of an earlier record, after which nothing more is sent.
        """
        while self._waiting >= MAX_UNACKNOWLEDGED or self._waiting_bytes > MAX_UNACKNOWLEDGED_BYTES:
            self._room.clear()
            await self._room.wait()
        if self.error is not None:
            raise self.error
        size = len(record.value or b"")
        self._waiting += 1
        self._waiting_bytes += size
        future = self._publisher.enqueue((record,))
        future.add_done_callback(lambda done: self._done(done, request, size))

    async def drain(self) -> None:
        """Return when everything that was sent is acknowledged or lost."""
        while self._waiting:
            self._room.clear()
            await self._room.wait()

    def _done(self, future: "asyncio.Future[None]", request: InferenceRequest, size: int) -> None:
        self._waiting -= 1
        self._waiting_bytes -= size
        self._room.set()
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._on_lost(request)
            if isinstance(error, KafkaError):
                self.error = error
            return
        self.acknowledged += 1
        if self._log is not None:
            self._log.add(request)
        self._on_acknowledged(request)


@asynccontextmanager
async def open_log(path: Path | None) -> AsyncIterator[AcknowledgedLog | None]:
    """The log, closed and on the disk at the end; None without a path. Raises SettingsError."""
    if path is None:
        yield None
        return
    log = AcknowledgedLog(path)
    try:
        yield log
    finally:
        await log.close()


class Pace:
    """Open loop: requests are sent at their times whatever became of the earlier ones. Says how late it ran."""

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._late: list[float] = []

    async def until(self, due_s: float) -> None:
        """Return at `due_s` seconds after the first call, or at once when that has passed."""
        now_s = asyncio.get_running_loop().time()
        if self._began_s is None:
            self._began_s = now_s - due_s
        wait_s = self._began_s + due_s - now_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        self._late.append(max(0.0, asyncio.get_running_loop().time() - self._began_s - due_s))

    def late_ms(self) -> dict[str, float] | None:
        """How late requests were sent: p50, p99 and worst, in milliseconds; None when there was no time to keep."""
        if not self._late:
            return None
        late = sorted(self._late)
        picks = {"p50": len(late) // 2, "p99": len(late) * 99 // 100, "max": len(late) - 1}
        return {name: round(late[index] * 1000, 1) for name, index in picks.items()}
