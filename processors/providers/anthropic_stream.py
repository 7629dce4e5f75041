"""Folds Anthropic's stream of events into one Completion.

https://docs.anthropic.com/en/docs/build-with-claude/streaming
"""

from dataclasses import dataclass, replace
from typing import Any

import orjson

from processors.providers.anthropic_wire import finish_reason, usage_from
from processors.providers.contract import Chunk, Completion, Failed, ProviderCall
from processors.providers.failures import refusal, truncated
from processors.providers.shape import as_object, parse, text
from processors.providers.sse import Event
from schemas.calls import Billing, Failure, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ToolCall

STATUS_OF_ERROR = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


@dataclass(slots=True)
class _Block:
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    open: bool = True


class MessageFold:
    """One streamed message.

    Rules
    1. message_start, then blocks numbered from 0 that open, grow and close one after the other, then message_delta with the stop
       reason, then message_stop. What breaks this order was lost, doubled or reordered on the way. Unknown events are skipped.
    2. The answer is whole once the stop reason was told.
    3. Usage is cumulative: a later count replaces the earlier one. It holds for the whole call once it came with a message_delta.
    """

    def __init__(self, call: ProviderCall, provider: str) -> None:
        self._call = call
        self._provider = provider
        self._message: dict[str, Any] | None = None
        self._blocks: list[_Block] = []
        self._counts: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._ending = False
        self._stopped = False
        self._refused: Failure | None = None

    @property
    def ended(self) -> bool:
        return self._stopped or self._refused is not None

    @property
    def whole(self) -> bool:
        return self._refused is None and self._stop_reason is not None

    @property
    def usage(self) -> Usage | None:
        return usage_from(self._call.order, self._counts) if self._ending else None

    def add(self, event: Event) -> Chunk | None:
        """The chunk that the event tells, if any. Raises ProviderContractError when the event cannot come here."""
        if not event.data:
            return None
        wire = parse(event.data)
        kind = wire.get("type")
        if kind == "error":
            self._refused = self._refusal_of(wire.get("error"))
        elif kind == "message_start":
            self._expect(self._message is None, "a second message_start")
            self._message = as_object(wire.get("message"), "the message")
            self._count(self._message.get("usage"))
        elif kind == "content_block_start":
            return self._open(wire)
        elif kind == "content_block_delta":
            return self._grow(self._block(wire), as_object(wire.get("delta"), "a delta"))
        elif kind == "content_block_stop":
            self._block(wire).open = False
        elif kind == "message_delta":
            return self._end(wire)
        elif kind == "message_stop":
            self._expect(self._ending, "message_stop before the stop reason")
            self._stopped = True
        return None

    def _open(self, wire: dict[str, Any]) -> Chunk | None:
        in_order = self._message is not None and not self._ending and wire.get("index") == len(self._blocks)
        self._expect(in_order and not any(b.open for b in self._blocks), "a content block out of order")
        start = as_object(wire.get("content_block"), "a content block")
        block = _Block(str(start.get("type")), id=text(start.get("id"), "id") or "", name=text(start.get("name"), "name") or "")
        self._blocks.append(block)
        if block.type == "tool_use":
            self._expect(block.name != "", "a tool call without a name")
            return self._tool_chunk(
                block, {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": ""}}
            )
        if block.type in {"text", "thinking"} and (beginning := text(start.get(block.type), block.type)) is not None:
            return self._grow(block, {"type": f"{block.type}_delta", block.type: beginning})
        return None

    def _grow(self, block: _Block, delta: dict[str, Any]) -> Chunk | None:
        kind = delta.get("type")
        field = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}.get(str(kind))
        if field is None or (piece := text(delta.get(field), field)) is None:
            return None
        block.text += piece
        if kind == "text_delta":
            return Chunk(content=piece)
        if kind == "thinking_delta":
            return Chunk(reasoning=piece)
        return self._tool_chunk(block, {"function": {"arguments": piece}}) if block.type == "tool_use" else None

    def _end(self, wire: dict[str, Any]) -> Chunk | None:
        self._expect(self._message is not None and not any(b.open for b in self._blocks), "message_delta amid the content")
        self._ending = True
        self._count(wire.get("usage"))
        self._stop_reason = text(as_object(wire.get("delta"), "a delta").get("stop_reason"), "stop_reason") or self._stop_reason
        return Chunk(finish_reason=finish_reason(self._stop_reason), usage=self.usage) if self._stop_reason else None

    def result(self) -> Completion | Failed:
        if self._refused is not None:
            return Failed(self._refused, self.usage)
        if not self.whole or self._message is None:
            return Failed(truncated(self._provider), self.usage)
        output = Output(
            content="".join(b.text for b in self._blocks if b.type == "text") or None,
            tool_calls=tuple(self._tool_call(b) for b in self._blocks if b.type == "tool_use"),
            finish_reason=finish_reason(self._stop_reason),
            reasoning="".join(b.text for b in self._blocks if b.type == "thinking") or None,
            response_model=text(self._message.get("model"), "model"),
            provider_response_id=text(self._message.get("id"), "id"),
        )
        return Completion(output, self.usage)

    def _tool_call(self, block: _Block) -> ToolCall:
        """Arguments that the model was not allowed to finish stay as they are; others must be an object."""
        arguments = block.text or "{}"
        if self._stop_reason == "tool_use":
            parse(arguments.encode())
        return ToolCall(block.id, block.name, arguments)

    def _tool_chunk(self, block: _Block, delta: dict[str, Any]) -> Chunk:
        index = [b for b in self._blocks if b.type == "tool_use"].index(block)
        return Chunk(tool_calls_json=orjson.dumps([{"index": index} | delta]).decode())

    def _block(self, wire: dict[str, Any]) -> _Block:
        index = wire.get("index")
        known = type(index) is int and 0 <= index < len(self._blocks)
        if not known or not self._blocks[index].open:  # type: ignore[index]
            raise ProviderContractError("an event names a content block that is not open")
        return self._blocks[index]  # type: ignore[index]

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._counts |= {name: value for name, value in usage.items() if value is not None}

    def _expect(self, holds: object, otherwise: str) -> None:
        if not holds:
            raise ProviderContractError(f"{otherwise} was in the stream")

    def _refusal_of(self, error: Any) -> Failure:
        """An error inside the stream. What was answered before it may be billed."""
        word = error.get("type") if isinstance(error, dict) else None
        failure = refusal(self._provider, STATUS_OF_ERROR.get(str(word), 500), {}, code=word)
        billing = Billing.NOT_BILLED if self._message is None else Billing.UNKNOWN
        return replace(failure, message=f"{failure.message} (inside its stream)", billing=billing)
