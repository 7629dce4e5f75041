"""Where this process waits for answers: final responses and chunks, taken from the log for the requests it asked about."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse, ResponseChunk
from streams import topics
from streams.follower import Follower
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

LOOK_BACK_S = 900.0
"""Answers of so long ago are found again by a process that has just started."""
REMEMBERED = 100_000

Piece = ResponseChunk | InferenceResponse
"""What a waiting reader is given: chunks as they come, and the response that ends them."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record stands in its topic."""

    partition: int
    offset: int


@dataclass(slots=True)
class Waiting:
    """One reader of one request. `pieces` ends with the final response."""

    tenant: str
    chunks: bool
    pieces: asyncio.Queue[Piece] = field(default_factory=asyncio.Queue)
    answered: bool = False
    """Whether the final response has come, read or not."""

    def give(self, piece: Piece) -> None:
        self.answered = self.answered or isinstance(piece, InferenceResponse)
        self.pieces.put_nowait(piece)

    async def final(self) -> InferenceResponse:
        """The final response; chunks before it are passed over."""
        while not isinstance(piece := await self.pieces.get(), InferenceResponse):
            pass
        return piece


class Mailbox:
    """Follows ai.responses and ai.chunks, whole, in every process; decodes only what somebody waits for."""

    def __init__(self, runtime: Runtime) -> None:
        self._responses = runtime.serde.of(InferenceResponse)
        self._chunks = runtime.serde.of(ResponseChunk)
        self._waiting: dict[bytes, list[Waiting]] = {}
        self._answered: OrderedDict[bytes, Position] = OrderedDict()
        self._finals = self._follower(runtime, "finals", topics.RESPONSES, LOOK_BACK_S)
        self._early = self._follower(runtime, "chunks", topics.CHUNKS, 0.0)

    def _follower(self, runtime: Runtime, name: str, topic: str, look_back_s: float) -> Follower:
        return Follower(runtime, name, {topic: look_back_s}, self._apply, started_over=lambda: None, gather_ms=None)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Mailbox"]:
        """Follow in the background; in the body both topics have been read to where they ended at the start."""
        async with self._finals.following(), self._early.following():
            yield self

    @property
    def caught_up(self) -> bool:
        return self._finals.caught_up.is_set() and self._early.caught_up.is_set()

    @contextlib.contextmanager
    def waiting(self, tenant: str, request_id: str, *, chunks: bool = False) -> Iterator[Waiting]:
        """Receive what comes for the request from now on. Begin before the request is published."""
        key, reader = request_id.encode(), Waiting(tenant, chunks)
        self._waiting.setdefault(key, []).append(reader)
        try:
            yield reader
        finally:
            readers = self._waiting[key]
            readers.remove(reader)
            if not readers:
                del self._waiting[key]

    def answered_at(self, request_id: str) -> Position | None:
        """From where on in ai.responses the final response of a recent request stands; None when this process has not seen it."""
        return self._answered.get(request_id.encode())

    def _apply(self, record: Any) -> None:
        key = record.key or b""
        if record.topic == topics.RESPONSES:
            self._answered.setdefault(key, Position(record.partition, record.offset))
            if len(self._answered) > REMEMBERED:
                self._answered.popitem(last=False)
        if readers := self._waiting.get(key):
            self._hand_over(record, readers)

    def _hand_over(self, record: Any, readers: list[Waiting]) -> None:
        final = record.topic == topics.RESPONSES
        if not final and not any(reader.chunks for reader in readers):
            return
        try:
            piece: Piece = self._responses.decode(record.value) if final else self._chunks.decode(record.value)
        except RecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("edge_unreadable_record", **place, error=str(error), next_step="its readers wait until their deadline")
            return
        if isinstance(piece, InferenceResponse) and not piece.final:
            return  # a notice to whoever sent the id again
        for reader in readers:
            if reader.tenant == piece.tenant and (final or reader.chunks):
                reader.give(piece)
