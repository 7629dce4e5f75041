"""Folds Gemini's stream of events into one Completion. Each event is a small reply; the last one tells why it ended."""

from dataclasses import replace

import orjson

from processors.providers.contract import Chunk, Completion, Failed, ProviderCall
from processors.providers.failures import truncated
from processors.providers.google_errors import refusal_in
from processors.providers.google_wire import answer_of, usage_from
from processors.providers.shape import parse
from processors.providers.sse import Event
from schemas.calls import Billing, Failure, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ToolCall


class ContentFold:
    """One streamed answer.

    Rules
    1. The answer is whole once a finish reason was told; nothing is said after it.
    2. Usage is a running total: the last one told holds, and holds for the whole call once the finish reason is there.
    """

    def __init__(self, call: ProviderCall, provider: str) -> None:
        self._call = call
        self._provider = provider
        self._pieces: list[Output] = []
        self._tools: list[ToolCall] = []
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._refused: Failure | None = None

    @property
    def ended(self) -> bool:
        return self._refused is not None

    @property
    def whole(self) -> bool:
        return self._refused is None and self._finish is not None

    @property
    def usage(self) -> Usage | None:
        return self._usage if self._finish is not None else None

    def add(self, event: Event) -> Chunk | None:
        """The chunk that the event tells, if any. Raises ProviderContractError when the event cannot come here."""
        if not event.data:
            return None
        reply = parse(event.data)
        if "error" in reply:
            failure = refusal_in(self._provider, reply, 500, {})
            billing = Billing.UNKNOWN if self._pieces else Billing.NOT_BILLED
            self._refused = replace(failure, message=f"{failure.message} (inside its stream)", billing=billing)
            return None
        self._usage = usage_from(self._call.order, reply.get("usageMetadata")) or self._usage
        if not reply.get("candidates") and "promptFeedback" not in reply:
            return None
        piece = answer_of(reply)
        if self._finish is not None and (piece.content or piece.reasoning or piece.tool_calls):
            raise ProviderContractError("content came after its finish reason")
        self._pieces.append(piece)
        first = len(self._tools)
        self._tools += [c if c.id != f"call_{i}" else replace(c, id=f"call_{first + i}") for i, c in enumerate(piece.tool_calls)]
        if piece.finish_reason is not None:
            self._finish = "tool_calls" if self._tools and piece.finish_reason == "stop" else piece.finish_reason
        deltas = [
            {"index": i, "id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments_json}}
            for i, c in enumerate(self._tools[first:], first)
        ]
        if not (piece.content or piece.reasoning or deltas or piece.finish_reason):
            return None
        calls = orjson.dumps(deltas).decode() if deltas else None
        return Chunk(piece.content, piece.reasoning, calls, self._finish, self.usage)

    def result(self) -> Completion | Failed:
        if self._refused is not None:
            return Failed(self._refused, self.usage)
        if self._finish is None:
            return Failed(truncated(self._provider))
        last = self._pieces[-1]
        output = Output(
            content="".join(p.content or "" for p in self._pieces) or None,
            tool_calls=tuple(self._tools),
            finish_reason=self._finish,
            reasoning="".join(p.reasoning or "" for p in self._pieces) or None,
            refusal=last.refusal,
            response_model=last.response_model,
            provider_response_id=last.provider_response_id,
        )
        return Completion(output, self._usage)
