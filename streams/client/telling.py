"""What a reader of one streamed answer is told: chunks in their order, calls that turned out void, and the end. Pure.

What was told and not voided by the end is the whole answer. Chunks are early and best-effort; the final response stands alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus


@dataclass(frozen=True, slots=True)
class Voided:
    """Forget the chunks of this call: it failed on its way, another one answers, or some of its chunks never came."""

    call_id: str


Piece = ResponseChunk | Voided | InferenceResponse


@dataclass(slots=True)
class Telling:
    """One reader's view of a request. A call that begins later takes the place of an earlier one."""

    _call_id: str | None = None
    _next_seq: int = 0
    _gap: bool = False
    _ended: bool = False
    _void: set[str] = field(default_factory=set)

    def on_chunk(self, chunk: ResponseChunk) -> Iterator[Piece]:
        """The chunk, if it is the next one of its call; `Voided` before it when another call was told until now."""
        if chunk.call_id in self._void:
            return
        if chunk.call_id != self._call_id:
            if chunk.seq != 0:
                return  # the rest of a call whose beginning was never told
            yield from self._give_up()
            self._call_id, self._next_seq, self._gap, self._ended = chunk.call_id, 0, False, False
        if self._gap or chunk.seq != self._next_seq:
            self._gap = self._gap or chunk.seq > self._next_seq
            return
        self._next_seq, self._ended = chunk.seq + 1, chunk.last
        yield chunk

    def on_final(self, response: InferenceResponse) -> Iterator[Piece]:
        """The end. What was told of a call that did not answer, or not wholly, is void."""
        if not (self._ended and self._call_id == response.call_id):
            yield from self._give_up()
        yield response

    def lacks(self, response: InferenceResponse) -> bool:
        """Whether chunks of the call that answered may still be on their way: the two topics know no order between them."""
        if response.status is not ResponseStatus.OK or response.call_id is None or response.cache.served:
            return False
        if self._call_id == response.call_id:
            return not (self._ended or self._gap)
        return response.call_id not in self._void

    def _give_up(self) -> Iterator[Voided]:
        if self._call_id is not None:
            self._void.add(self._call_id)
            yield Voided(self._call_id)
