"""Streams the pieces of an answer to ai.chunks: early, in order, and not more records than a reader can use."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import orjson

from processors.providers.contract import Chunk, Completion, Failed
from schemas.calls import CallOrdered
from schemas.errors import MalformedRecord
from schemas.outcomes import ResponseChunk
from schemas.serde import Codec
from streams import clock, topics
from streams.publisher import Outgoing, Publisher

COALESCE_S = 0.02
"""Pieces that come closer together than this go out as one."""


class ChunkSender:
    """The chunks of one call. Nothing is awaited and nothing is retried: the final response stands alone."""

    def __init__(self, order: CallOrdered, call_id: str, codec: Codec[ResponseChunk], publisher: Publisher) -> None:
        self._order = order
        self._call_id = call_id
        self._codec = codec
        self._publisher = publisher
        self._waiting: list[Chunk] = []
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0
        self._ended = False

    def add(self, chunk: Chunk) -> None:
        """Send the chunk: the first at once, later ones together with what comes within 20 ms."""
        self._waiting.append(chunk)
        if self._seq == 0:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._flush)

    def end(self, outcome: Completion | Failed) -> None:
        """Send what waits, marked as the last, once. An answer that was not streamed comes as one chunk."""
        if self._ended:
            return
        self._ended = True
        if self._seq == 0 and not self._waiting and isinstance(outcome, Completion):
            output = outcome.output
            self._waiting.append(Chunk(output.content, output.reasoning, None, output.finish_reason, outcome.usage))
        self._flush(last=True)

    def _flush(self, *, last: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        chunk, self._waiting = merged(self._waiting), []
        record = ResponseChunk(
            request_id=self._order.request_id,
            tenant=self._order.tenant,
            call_id=self._call_id,
            attempt=self._order.attempt,
            seq=self._seq,
            emitted_at=clock.now(),
            content=chunk.content,
            reasoning=chunk.reasoning,
            tool_calls_json=chunk.tool_calls_json,
            finish_reason=chunk.finish_reason,
            usage=chunk.usage,
            last=last,
        )
        try:
            value = self._codec.encode(record)
        except MalformedRecord:
            # Too large a piece: the final response says so; here only its place in the order is kept.
            value = self._codec.encode(replace(record, content=None, reasoning=None, tool_calls_json=None))
        self._seq += 1
        sent = self._publisher.enqueue([Outgoing(topics.CHUNKS, self._order.request_id, value)])
        sent.add_done_callback(_forget)


def merged(chunks: Iterable[Chunk]) -> Chunk:
    """Several pieces as one: texts and deltas in their order, the last word on how it ended.

    >>> merged([Chunk(content="a"), Chunk(content="b", finish_reason="stop")])
    Chunk(content='ab', reasoning=None, tool_calls_json=None, finish_reason='stop', usage=None)
    """
    all_of = list(chunks)
    if len(all_of) == 1:
        return all_of[0]
    deltas = [delta for c in all_of if c.tool_calls_json for delta in orjson.loads(c.tool_calls_json)]
    return Chunk(
        content="".join(c.content for c in all_of if c.content) or None,
        reasoning="".join(c.reasoning for c in all_of if c.reasoning) or None,
        tool_calls_json=orjson.dumps(deltas).decode() if deltas else None,
        finish_reason=next((c.finish_reason for c in reversed(all_of) if c.finish_reason), None),
        usage=next((c.usage for c in reversed(all_of) if c.usage), None),
    )


def _forget(sent: "asyncio.Future[None]") -> None:
    """Chunks are best-effort: a failure to send is the publisher's to log, not a task's that nobody awaits."""
    if not sent.cancelled():
        sent.exception()
