"""What a reader of one request is told while it runs: chunks, calls that turned out void, and the end. Pure.

Every event carries an id from which any process of the edge goes on: the call and the piece last told, and when that was sent.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus

END = "end"
"""The id of the last event: after it nothing comes."""


@dataclass(frozen=True, slots=True)
class Place:
    """After which piece of which call a reader stands; `seq` is -1 before the first. `sent_us` is when that piece was sent."""

    sent_us: int
    seq: int
    call_id: str

    def __str__(self) -> str:
        return f"{self.sent_us:x}.{self.seq}.{self.call_id}"

    @classmethod
    def of(cls, text: str) -> "Place | None":
        """The place that an event's id names; None for a text that is none.

        >>> str(Place.of("6f.4.call-1")), Place.of("4.call-1")
        ('6f.4.call-1', None)
        """
        sent, _, rest = text.partition(".")
        seq, _, call_id = rest.partition(".")
        try:
            return cls(int(sent, 16), int(seq), call_id) if call_id else None
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Event:
    name: str
    id: str
    data: Any


@dataclass(slots=True)
class Telling:
    """One reader's view of a request. A call that begins later replaces an earlier one, whose chunks are void from then on."""

    place: Place | None = None
    """Where the reader stands; None before the first chunk. One that is given is looked for before anything is told."""
    _sought: Place | None = field(init=False)
    _void: set[str] = field(default_factory=set)
    _ended: bool = False

    def __post_init__(self) -> None:
        self._sought = self.place

    def on_chunk(self, chunk: ResponseChunk) -> Iterator[Event]:
        """A chunk, after `void` where it is the first one of another call; nothing for one that was told or is void."""
        before = self.place
        if self._is_before_the_place(chunk) or chunk.call_id in self._void or (before is None and chunk.seq > 0):
            return
        sent_us = round(chunk.emitted_at.timestamp() * 1_000_000)
        if before is not None and chunk.call_id == before.call_id:
            if chunk.seq <= before.seq:
                return
        elif chunk.seq > 0:
            return  # the rest of a call whose beginning was lost
        elif before is not None:
            self._void.add(before.call_id)
            if before.seq >= 0:
                yield _void_event(before.call_id, Place(sent_us, -1, chunk.call_id))
        self.place, self._ended = Place(sent_us, chunk.seq, chunk.call_id), chunk.last
        yield Event("chunk", str(self.place), _told(chunk))

    def on_final(self, response: InferenceResponse) -> Iterator[Event]:
        """The end: what was told of a call that did not answer is void; `completed` holds the whole answer, usage and cost."""
        before = self.place
        if before is not None and before.seq >= 0 and before.call_id != response.call_id:
            yield _void_event(before.call_id, Place(before.sent_us, -1, response.call_id or before.call_id))
        yield Event("completed", END, response)

    def _is_before_the_place(self, chunk: ResponseChunk) -> bool:
        """Clocks of workers differ: what comes before the place sought may be of calls that were void long ago."""
        if (sought := self._sought) is None:
            return False
        if chunk.call_id == sought.call_id and chunk.seq >= sought.seq:
            self._sought = None
        return self._sought is not None

    def lacks(self, response: InferenceResponse) -> bool:
        """Whether chunks of the call that answered are still on their way."""
        if response.status is not ResponseStatus.OK or response.call_id is None or response.cache.served:
            return False
        return not (self._ended and self.place is not None and self.place.call_id == response.call_id)


def _told(chunk: ResponseChunk) -> dict[str, Any]:
    """A chunk's fields for a reader, those without a value left out."""
    tools = None if chunk.tool_calls_json is None else orjson.loads(chunk.tool_calls_json)
    told = {
        "content": chunk.content,
        "reasoning": chunk.reasoning,
        "tool_calls": tools,
        "finish_reason": chunk.finish_reason,
        "usage": chunk.usage,
    }
    head = {"request_id": chunk.request_id, "call_id": chunk.call_id, "attempt": chunk.attempt, "seq": chunk.seq}
    return {**head, **{name: value for name, value in told.items() if value is not None}, "last": chunk.last}


def _void_event(call_id: str, goes_on: Place) -> Event:
    return Event("void", str(goes_on), {"call_id": call_id})


chunk_told = _told
"""The same form for whoever tells chunks of many requests."""
