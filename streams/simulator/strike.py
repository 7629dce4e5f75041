"""What a fault does to a reply: replies in, replies out, nothing written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import formatdate

from streams.simulator.faults import Fault, FaultKind
from streams.simulator.reply import Ending, Part, Reply
from streams.simulator.tokens import FREE, Usage

HTML = b"<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body><h1>One moment</h1></body></html>\n"
ABSURD_TOKENS = 10**12
_TOLD: Mapping[FaultKind, Usage | None] = {
    FaultKind.MISSING_USAGE: None,
    FaultKind.ZERO_USAGE: FREE,
    FaultKind.NEGATIVE_USAGE: Usage(-1, -1),
    FaultKind.ABSURD_USAGE: Usage(ABSURD_TOKENS, ABSURD_TOKENS),
}


def told(fault: Fault | None, usage: Usage) -> Usage | None:
    """The usage that the reply says: the truth, unless the fault is to lie about it; None is to say nothing."""
    return _TOLD.get(fault.kind, usage) if fault is not None else usage


def retry_after(value: str, *, now_s: float) -> str:
    """The Retry-After header of a fault's argument.

    >>> retry_after("date+30", now_s=0), retry_after("-1", now_s=0)
    ('Thu, 01 Jan 1970 00:00:30 GMT', '-1')
    """
    offset = value.removeprefix("date")
    if offset == value or offset[:1] not in {"+", "-"} or not offset[1:].isdigit() or len(offset) > 10:
        return value
    return formatdate(now_s + int(offset), usegmt=True)


def strike(fault: Fault, reply: Reply, *, error_event: bytes) -> Reply:
    """The reply as the fault leaves it. Faults of a stream's events leave a reply that is not streamed as it is."""
    if fault.kind is FaultKind.SLOW_BODY:
        return replace(reply, bytes_per_s=fault.bytes_per_s)
    if fault.kind is FaultKind.ERROR_EVENT:
        return _error_event(reply, error_event) if reply.streamed else reply
    change = _ON_ANY.get(fault.kind) or (_ON_STREAM.get(fault.kind) if reply.streamed else None)
    return change(reply) if change is not None else reply


def _error_event(reply: Reply, event: bytes) -> Reply:
    kept = reply.parts[: len(reply.parts) // 2]
    return replace(reply, parts=(*kept, Part(event)), whole=False)


def _silence(reply: Reply) -> Reply:
    return replace(reply, parts=(), ending=Ending.SILENCE, whole=False)


def _html(_reply: Reply) -> Reply:
    return Reply(200, "text/html; charset=utf-8", (Part(HTML),), whole=False)


def _reset_before(reply: Reply) -> Reply:
    return replace(reply, parts=(), ending=Ending.RESET, usage=FREE, whole=False)


def _cut(reply: Reply, ending: Ending) -> Reply:
    if reply.streamed:
        return replace(reply, parts=reply.parts[: max(1, len(reply.parts) // 2)], ending=ending, whole=False)
    body = reply.body
    part = replace(reply.parts[0], data=body[: len(body) // 2])
    return replace(reply, parts=(part,), ending=ending, whole=False, declared_bytes=len(body))


def _truncated(reply: Reply) -> Reply:
    if not reply.streamed:
        return replace(reply, parts=(replace(reply.parts[0], data=reply.body[: len(reply.body) // 2]),), whole=False)
    middle = len(reply.parts) // 2
    torn = reply.parts[middle]
    torn = replace(torn, data=torn.data[: len(torn.data) // 2], output_tokens=0)
    return replace(reply, parts=(*reply.parts[:middle], torn), whole=False)


def _malformed(reply: Reply) -> Reply:
    middle = len(reply.parts) // 2
    part = reply.parts[middle]
    before, brace, after = part.data.rpartition(b"}")
    torn = replace(part, data=before + after if brace else part.data[:-1])
    return replace(reply, parts=(*reply.parts[:middle], torn, *reply.parts[middle + 1 :]), whole=False)


def _without_last(reply: Reply) -> Reply:
    tokens = reply.parts[-1].output_tokens
    parts = list(reply.parts[:-1])
    if tokens and parts:  # the last event carried content: it was generated all the same
        parts[-1] = replace(parts[-1], output_tokens=parts[-1].output_tokens + tokens)
    return replace(reply, parts=tuple(parts), whole=False)


def _twice(reply: Reply) -> Reply:
    parts: list[Part] = []
    for part in reply.parts:
        parts.append(part)
        if part.output_tokens:
            parts.append(replace(part, output_tokens=0, delay_s=0.0))
    return replace(reply, parts=tuple(parts))


def _reordered(reply: Reply) -> Reply:
    parts = list(reply.parts)
    content = [i for i, part in enumerate(parts) if part.output_tokens]
    for a, b in zip(content[::2], content[1::2], strict=False):
        parts[a], parts[b] = parts[b], parts[a]
    return replace(reply, parts=tuple(parts))


def _late(reply: Reply) -> Reply:
    parts = list(reply.parts)
    last = max((i for i, part in enumerate(parts[:-1]) if part.output_tokens), default=None)
    if last is not None:
        parts[last], parts[last + 1] = parts[last + 1], parts[last]
    return replace(reply, parts=tuple(parts))


def _split(reply: Reply) -> Reply:
    parts: list[Part] = []
    for part in reply.parts:
        # The second byte of the first character of more than one, or the middle where all is ASCII.
        at = next((i for i, byte in enumerate(part.data) if byte & 0xC0 == 0x80), len(part.data) // 2)
        parts.append(replace(part, data=part.data[:at], apart=True))
        parts.append(Part(part.data[at:], apart=True))
    return replace(reply, parts=tuple(parts))


def _crlf(reply: Reply) -> Reply:
    parts = (replace(p, data=p.data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) for p in reply.parts)
    return replace(reply, parts=tuple(parts))


_Change = Callable[[Reply], Reply]
_ON_ANY: Mapping[FaultKind, _Change] = {
    FaultKind.HANG: _silence,
    FaultKind.HTML_200: _html,
    FaultKind.RESET_BEFORE_REPLY: _reset_before,
    FaultKind.RESET_MID_BODY: lambda reply: _cut(reply, Ending.RESET),
    FaultKind.EOF_MID_BODY: lambda reply: _cut(reply, Ending.EARLY_EOF),
    FaultKind.TRUNCATED_STREAM: _truncated,
    FaultKind.MALFORMED_JSON: _malformed,
    FaultKind.SPLIT_UTF8: _split,
}
_ON_STREAM: Mapping[FaultKind, _Change] = {
    FaultKind.MISSING_DONE: _without_last,
    FaultKind.DUPLICATE_EVENTS: _twice,
    FaultKind.REORDERED_EVENTS: _reordered,
    FaultKind.LATE_CONTENT: _late,
    FaultKind.CRLF: _crlf,
}
