"""Answers as streams: pieces as they come, in the shape of whichever client asked."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from processors.api.continuation import Continuation
from processors.api.openai_response import tool_call
from processors.api.refusals import Refusal
from processors.api.sse import Stream
from schemas.calls import Output
from schemas.outcomes import InferenceResponse, ResponseChunk
from schemas.requests import InferenceRequest
from streams.edge.asking import Asked, answered
from streams.edge.cancelling import cancels_on_leaving, unless_gone
from streams.edge.door import Door
from streams.edge.principal import Refused

SSE = "text/event-stream"
SSE_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


async def streaming(door: Door, http: Request, request: InferenceRequest, stream: Stream) -> Response:
    """The first piece decides the status: raises Refused for a request that fails before it. A later failure ends the stream."""
    events = _events(door, http, request, stream)
    first = await (unless_gone(http, anext(events)) if cancels_on_leaving(http.headers) else anext(events))

    async def body() -> AsyncIterator[bytes]:
        try:
            yield first
            async for event in events:
                yield event
        finally:
            await events.aclose()

    return StreamingResponse(body(), media_type=SSE, headers=SSE_HEADERS)


async def _events(door: Door, http: Request, request: InferenceRequest, stream: Stream) -> AsyncGenerator[bytes, None]:
    cancels = cancels_on_leaving(http.headers)
    with door.asking.waiting(request) as waiting, ExitStack() as leaving:
        asked = await door.asking.publish(request, waiting, http.headers)
        if cancels:
            leaving.enter_context(door.cancelling.unless_answered(asked))
        begun = False
        try:
            async for event in streamed(asked, stream):
                begun = True
                yield event
        except Refused as refused:
            if not begun:
                raise
            yield stream.failing(refused.refusal)


async def streamed(asked: Asked, stream: Stream) -> AsyncIterator[bytes]:
    """The events of one answer. Raises Refused when it ends in an error, or goes on in another way than the client has read."""
    so_far = Continuation()
    opened = False
    async for piece in asked.pieces():
        if isinstance(piece, InferenceResponse):
            response = answered(piece)
            events = [b"" if opened else stream.opening(), *_rest(response, so_far, stream)]
        elif so_far.takes(piece.call_id, piece.seq) and (piece.reasoning or piece.content or piece.tool_calls_json):
            events = [b"" if opened else stream.opening(), *_said(piece, so_far, stream)]
        else:
            continue
        opened = True
        for event in filter(None, events):
            yield event


def _said(piece: ResponseChunk, so_far: Continuation, stream: Stream) -> list[bytes]:
    events = []
    if piece.reasoning and so_far.thoughts():
        events.append(stream.reasoning(piece.reasoning))
    if piece.content and (new := so_far.text(piece.content)):
        events.append(stream.text(new))
    if piece.tool_calls_json and so_far.tools():
        events.append(stream.tool_deltas(orjson.loads(piece.tool_calls_json)))
    return events


def _rest(response: InferenceResponse, so_far: Continuation, stream: Stream) -> list[bytes]:
    """What the final response has beyond what was sent, and the end."""
    output = response.output or Output()
    rest = so_far.rest(output.content or "")
    if rest is None or (so_far.tools_of is not None and not so_far.tools_are_whole(response.call_id)):
        message = "the call failed on its way and another one answered differently: ask again, or read the final response"
        raise Refused(Refusal(502, "attempt_voided", message))
    unread = so_far.sent == "" and so_far.tools_of is None
    thoughts = output.reasoning if unread and so_far.thoughts_of is None else None
    tools = [{"index": i, **tool_call(call)} for i, call in enumerate(output.tool_calls)] if so_far.tools_of is None else []
    return [
        stream.reasoning(thoughts) if thoughts else b"",
        stream.text(rest) if rest else b"",
        stream.refusal(output.refusal) if output.refusal else b"",
        stream.tool_deltas(tools) if tools else b"",
        *stream.closing(response),
    ]
