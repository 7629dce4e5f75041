"""Server-sent events of one request: from its beginning or from where a reader left off, out of the log and then live.

A reader holds nothing in this process but a short queue. Who falls behind further reads on in the log, at its own speed.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import timedelta
from typing import Any

from starlette.responses import Response, StreamingResponse

from processors.api.native_events import END, Event, Place, Telling
from processors.api.refusals import Refusal
from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse, ResponseChunk
from streams import clock, topics
from streams.decoding import dumps
from streams.edge.asking import GRACE_S
from streams.edge.door import Door
from streams.edge.lineage import Known, Lineages
from streams.edge.lineage_log import LogReading, Record, Stretch
from streams.edge.mailbox import Piece, Waiting
from streams.edge.principal import Refused
from streams.edge.streamed import SSE, SSE_HEADERS
from streams.placement import partition_of

KEEP_ALIVE_S = 15.0
QUEUED = 256
"""Pieces that wait for a slow reader; of what comes beyond, the log keeps the place."""
_PAGE = 256
_PAGE_BYTES = 1_000_000
_RECONNECT_MS = 1_000
_LAST_CHUNKS_S = 2.0
"""How long the end waits for chunks that were sent before it and are read from another topic."""
_LATE = timedelta(seconds=5)
_SKEW_MS = 1_000
_MAY_EVERY_S = 2.0


class Backlog(asyncio.Queue[Piece]):
    """A queue that forgets what does not fit, and says so. The final response always fits."""

    lagged = False

    def put_nowait(self, piece: Piece) -> None:
        if self.qsize() >= QUEUED and not isinstance(piece, InferenceResponse):
            self.lagged = True
            return
        super().put_nowait(piece)

    def drain(self) -> InferenceResponse | None:
        """Forget everything; the final response, if it was there."""
        self.lagged = False
        final = None
        while not self.empty():
            piece = self.get_nowait()
            final = piece if isinstance(piece, InferenceResponse) else final
        return final


class Events:
    """Tells readers."""

    def __init__(self, door: Door, lineages: Lineages, reading: LogReading) -> None:
        self._door = door
        self._lineages = lineages
        self._reading = reading
        self._chunks = door.runtime.serde.of(ResponseChunk)

    async def response(self, tenant: str, request_id: str, last_event_id: str | None, may: Callable[[], Any]) -> Response:
        """The stream; 204, after which no browser comes again, for who has read its end. Raises Refused before it begins.

        `may` raises Refused once the reader's key opens nothing any more: then the stream ends.
        """
        if last_event_id == END:
            return Response(status_code=204)
        place = None
        if last_event_id and (place := Place.of(last_event_id)) is None:
            raise Refused(Refusal(400, "invalid_request", "the Last-Event-ID is none of ours: leave it out to begin anew"))
        events = self._events(tenant, request_id, place)
        first = await anext(events)

        async def body() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(events):
                yield first
                asked_s = time.monotonic()
                async for framed in events:
                    if time.monotonic() - asked_s > _MAY_EVERY_S:
                        asked_s = time.monotonic()
                        try:
                            may()
                        except Refused as refused:
                            yield _framed(Event("error", "", refused.refusal.native()))
                            return
                    yield framed

        return StreamingResponse(body(), media_type=SSE, headers=SSE_HEADERS)

    async def _events(self, tenant: str, request_id: str, place: Place | None) -> AsyncGenerator[bytes, None]:
        with self._door.mailbox.waiting(tenant, request_id, chunks=True) as waiting:
            waiting.pieces = backlog = Backlog()
            known = await self._lineages.find(tenant, request_id)
            if known is None:
                message = f"there is no request {request_id[:100]!r}: check the id; the log keeps chunks for a day"
                raise Refused(Refusal(404, "unknown_request", message))
            yield f"retry: {_RECONNECT_MS}\n\n".encode()
            telling = Telling(place)
            final = known.final
            async for framed in self._from_log(telling, known, final):
                yield framed
            if final is None:
                async for told in self._live(telling, known, waiting, backlog):
                    if isinstance(told, InferenceResponse):
                        final = told
                        break
                    yield told
            if final is None:
                yield _framed(Event("error", "", _expired().native()))
                return
            for event in telling.on_final(final):
                yield _framed(event)

    async def _live(
        self, telling: Telling, known: Known, waiting: Waiting, backlog: Backlog
    ) -> AsyncIterator[bytes | InferenceResponse]:
        """Events as they come, and the final response last, if there is one in time."""
        final: InferenceResponse | None = None
        give_up_s = time.monotonic() + _seconds_left(known)
        chunked = known.request is not None and known.request.stream
        while final is None or (chunked and telling.lacks(final) and time.monotonic() < give_up_s):
            if backlog.lagged:
                if (drained := backlog.drain()) is not None:
                    final, give_up_s = drained, time.monotonic() + _LAST_CHUNKS_S
                async for framed in self._from_log(telling, known, final):
                    yield framed
                continue
            left_s = give_up_s - time.monotonic()
            if left_s <= 0:
                break
            try:
                async with asyncio.timeout(min(KEEP_ALIVE_S, left_s)):
                    piece = await waiting.pieces.get()
            except TimeoutError:
                yield b": waiting\n\n"
                continue
            if isinstance(piece, InferenceResponse):
                final, give_up_s = piece, time.monotonic() + _LAST_CHUNKS_S
                continue
            for event in telling.on_chunk(piece):
                yield _framed(event)
        if final is not None:
            yield final

    async def _from_log(self, telling: Telling, known: Known, final: InferenceResponse | None) -> AsyncIterator[bytes]:
        """What the log has of the request's chunks beyond the reader's place, a page at a time: no reader holds a consumer."""
        partition = partition_of(known.request_id, await self._door.runtime.publisher.partitions(topics.CHUNKS))
        since_ms = _ms(known) if telling.place is None else max(_ms(known), telling.place.sent_us // 1000 - _SKEW_MS)
        until_ms = None if final is None else int((final.answered_at + _LATE).timestamp() * 1000)
        key = known.request_id.encode()
        stretch: Stretch | None = Stretch(topics.CHUNKS, partition, since_ms, until_ms=until_ms)
        while stretch is not None:
            found = await self._reading.read([stretch], lambda r: r.key == key, most=_PAGE, most_bytes=_PAGE_BYTES)
            for record in found.records:
                chunk = self._chunk(record)
                if chunk is not None and chunk.tenant == known.tenant:
                    for event in telling.on_chunk(chunk):
                        yield _framed(event)
            stretch = None if found.offset is None else Stretch(topics.CHUNKS, partition, offset=found.offset, until_ms=until_ms)

    def _chunk(self, record: Record) -> ResponseChunk | None:
        try:
            return self._chunks.decode(record.value)
        except RecordError:
            return None  # chunks are best-effort: the final response says it all


def _framed(event: Event) -> bytes:
    identified = f"id: {event.id}\n" if event.id else ""
    return f"event: {event.name}\n{identified}data: ".encode() + dumps(event.data) + b"\n"


def _ms(known: Known) -> int:
    return int(known.since.timestamp() * 1000)


def _seconds_left(known: Known) -> float:
    """How long the final response may take, some time for the mailbox to meet it included."""
    deadline = None if known.request is None else known.request.deadline
    left_s = 0.0 if deadline is None else (deadline - clock.now()).total_seconds()
    return max(0.0, left_s) + GRACE_S + KEEP_ALIVE_S


def _expired() -> Refusal:
    return Refusal(504, "expired", "no answer came before the deadline: read the request, or send it again")
