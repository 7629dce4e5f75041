"""A streamed answer as Anthropic's events: one content block after the other.

Source of the shapes: Anthropic's guide "Streaming messages"; `anthropic.types.RawMessageStreamEvent` of its SDK.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from processors.api.anthropic_response import NO_USAGE, head, stop_reason_of, usage_of
from processors.api.named import Named
from processors.api.refusals import Refusal
from processors.api.sse import sse
from processors.api.tool_deltas import Calls, Growing
from schemas.calls import Output, Usage
from schemas.outcomes import InferenceResponse

_EMPTY = {
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
    "text": {"type": "text", "text": ""},
}


@dataclass(slots=True)
class AnthropicStream:
    """A Stream. `input_tokens` is our estimate, which the first event tells; the last but one tells what was counted.

    Strategy
    1. One block is open at a time: a piece of another kind closes it and opens the next.
    2. Pieces of a later tool call wait until the arguments of the one before are whole, or the answer ends: no piece comes late.
    """

    named: Named
    input_tokens: int
    _blocks: int = 0
    _open: str | None = None
    _calls: Calls = field(default_factory=Calls)
    _turn: int = 0

    def opening(self) -> bytes:
        message = {**head(self.named, None), "usage": usage_of(Usage(self.input_tokens, 0))}
        return _event("message_start", message=message) + _event("ping")

    def reasoning(self, content: str) -> bytes:
        return self._in("thinking") + self._delta({"type": "thinking_delta", "thinking": content})

    def text(self, content: str) -> bytes:
        return self._in("text") + self._delta({"type": "text_delta", "text": content})

    def refusal(self, content: str) -> bytes:
        return self.text(content)

    def tool_deltas(self, deltas: list[dict[str, Any]]) -> bytes:
        for delta in deltas:
            self._calls.add(delta)
        return self._tools(ended=False)

    def closing(self, response: InferenceResponse) -> Iterator[bytes]:
        """The stop reason with the usage, and the end mark."""
        yield self._tools(ended=True) + self._close()
        delta = {"stop_reason": stop_reason_of(response.output or Output()), "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage=usage_of(response.usage or NO_USAGE))
        yield _event("message_stop")

    def failing(self, refusal: Refusal) -> bytes:
        return sse(refusal.anthropic(self.named.request_id), "error")

    def _in(self, kind: str) -> bytes:
        if self._open == kind:
            return b""
        before = self._tools(ended=True) + self._close()
        return before + self._start(kind, _EMPTY[kind])

    def _tools(self, *, ended: bool) -> bytes:
        """What of the tool calls has its turn. `ended`: nothing more comes of them."""
        events = b""
        while (call := self._calls.at(self._turn)) is not None:
            if self._open != f"tool {self._turn}":
                events += self._close() + self._start(f"tool {self._turn}", _tool(call))
            if new := call.unsent():
                events += self._delta({"type": "input_json_delta", "partial_json": new})
            if not (ended or (self._turn + 1 < len(self._calls) and call.whole)):
                break
            self._turn += 1
        return events

    def _start(self, kind: str, block: dict[str, Any]) -> bytes:
        self._open = kind
        self._blocks += 1
        return _event("content_block_start", index=self._blocks - 1, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", index=self._blocks - 1)


def _tool(call: Growing) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}


def _event(name: str, /, **fields: Any) -> bytes:
    return sse({"type": name, **fields}, name)
