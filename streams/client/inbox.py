"""Where a client waits for answers: it follows ai.responses, and ai.chunks once somebody streams, from the first wait on."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from schemas.errors import PenstockError, RecordError
from schemas.outcomes import InferenceResponse, ResponseChunk
from schemas.requests import InferenceRequest
from streams import topics
from streams.broker_errors import in_words
from streams.client.connecting import Connection

log = structlog.get_logger(__name__)

MAX_UNREAD = 4_096
MAX_UNREAD_BYTES = 8_000_000
"""What one slow reader of a stream may leave unread; further chunks are dropped, and the call is voided at its end."""
_POLL_MS = 1_000
_RETRY_S = 1.0

Arrived = ResponseChunk | InferenceResponse


class Closed(PenstockError):
    """The client was closed while somebody waited."""

    def __init__(self) -> None:
        super().__init__("the client was closed before the answer came; the request stands in the log")


@dataclass(slots=True, eq=False)
class Waiting:
    """One reader of one request. Chunks that it leaves unread are bounded; responses always find room."""

    tenant: str
    chunks: bool
    _pieces: deque[tuple[Arrived, int]] = field(default_factory=deque)
    _unread_bytes: int = 0
    _some: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: Exception | None = None

    async def get(self) -> Arrived:
        """The next piece. Raises what ended the reading."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            self._some.clear()
            await self._some.wait()
        piece, size = self._pieces.popleft()
        self._unread_bytes -= size
        return piece

    def put(self, piece: Arrived, size: int) -> None:
        full = len(self._pieces) >= MAX_UNREAD or self._unread_bytes >= MAX_UNREAD_BYTES
        if isinstance(piece, ResponseChunk) and (full or not self.chunks):
            return
        self._pieces.append((piece, size))
        self._unread_bytes += size
        self._some.set()

    def fail(self, failure: Exception) -> None:
        self._failure = failure
        self._some.set()


class Inbox:
    """Decodes only what somebody waits for: the rest is other programs' records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._codecs: dict[str, Any] = {
            topics.RESPONSES: connection.serde.of(InferenceResponse),
            topics.CHUNKS: connection.serde.of(ResponseChunk),
        }
        self._waiting: dict[bytes, list[Waiting]] = {}
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._opening = asyncio.Lock()
        self._services = contextlib.AsyncExitStack()

    async def open(self, *, chunks: bool) -> None:
        """Follow what is not followed yet. Raises SettingsError when Kafka is away."""
        async with self._opening:
            for name in (topics.RESPONSES, topics.CHUNKS) if chunks else (topics.RESPONSES,):
                if name not in self._followed:
                    self._followed[name] = await self._follow(name)

    @contextlib.asynccontextmanager
    async def waiting(self, request: InferenceRequest, *, chunks: bool) -> AsyncIterator[Waiting]:
        """In the body, what comes for the request is received; publish it there. Raises as `open` does."""
        await self.open(chunks=chunks)
        key, reader = request.request_id.encode(), Waiting(request.tenant, chunks)
        self._waiting.setdefault(key, []).append(reader)
        try:
            yield reader
        finally:
            readers = self._waiting[key]
            readers.remove(reader)
            if not readers:
                del self._waiting[key]

    async def close(self) -> None:
        """Stop reading; whoever still waits is told so."""
        self._fail(Closed())
        await self._services.aclose()

    async def _follow(self, name: str) -> "asyncio.Task[None]":
        consumer = self._connection.consumer()
        with in_words(self._connection.settings, name):
            consumer.subscribe([name])
            self._services.push_async_callback(consumer.stop)
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
        for partition, end in ends.items():
            consumer.seek(partition, end)
        task = asyncio.create_task(self._read(consumer, name), name=f"inbox {name}")
        task.add_done_callback(self._on_end)
        self._services.push_async_callback(_cancelled, task)
        return task

    async def _read(self, consumer: AIOKafkaConsumer, name: str) -> None:
        while True:
            try:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            except (NoOffsetForPartitionError, OffsetOutOfRangeError) as error:
                await _from_its_beginning(consumer, error)
                continue
            except KafkaError as error:
                log.warning(
                    "inbox_interrupted", topic=name, error=type(error).__name__, next_step="it is retried; check the broker"
                )
                await asyncio.sleep(_RETRY_S)
                continue
            for records in fetched.values():
                for record in records:
                    if readers := self._waiting.get(record.key):
                        await self._hand_over(record, readers)

    async def _hand_over(self, record: Any, readers: list[Waiting]) -> None:
        await self._connection.meet(record.value)
        try:
            piece: Arrived = self._codecs[record.topic].decode(record.value)
        except RecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("inbox_unreadable_record", **place, error=str(error), next_step="whoever waits for it goes on waiting")
            return
        for reader in readers:
            if reader.tenant == piece.tenant:
                reader.put(piece, len(record.value))

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._fail(error)

    def _fail(self, failure: Exception) -> None:
        for reader in (each for readers in self._waiting.values() for each in readers):
            reader.fail(failure)


async def _from_its_beginning(consumer: AIOKafkaConsumer, error: NoOffsetForPartitionError | OffsetOutOfRangeError) -> None:
    """A partition that is new, or whose records were deleted before they were read, is read from what it still has."""
    partitions: list[TopicPartition] = [error.args[0]] if isinstance(error.args[0], TopicPartition) else list(error.args[0])
    for partition, offset in (await consumer.beginning_offsets(partitions)).items():
        consumer.seek(partition, offset)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
