"""Folds Ollama's stream of JSON lines into one Completion. The line with `done` is the last, and tells the usage."""

from dataclasses import replace

import orjson

from processors.providers.contract import Chunk, Completion, Failed, ProviderCall
from processors.providers.failures import truncated
from processors.providers.ollama_wire import finish_reason, piece_of, refusal_in, usage_from
from processors.providers.shape import parse
from schemas.calls import Billing, Failure, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ToolCall


class LineFold:
    """One streamed answer: whole once the line with `done` was read, and nothing comes after it."""

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
        return self._usage

    def add(self, line: bytes) -> Chunk | None:
        """The chunk that the line tells, if any. Raises ProviderContractError when the line cannot come here."""
        if not line.strip():
            return None
        reply = parse(line)
        if "error" in reply:
            failure = refusal_in(self._provider, reply, 500, {})
            billing = Billing.UNKNOWN if self._pieces else Billing.NOT_BILLED
            self._refused = replace(failure, message=f"{failure.message} (inside its stream)", billing=billing)
            return None
        if self._finish is not None:
            raise ProviderContractError("a line came after the last one")
        piece = piece_of(reply)
        self._pieces.append(piece)
        first = len(self._tools)
        self._tools += [c if c.id != f"call_{i}" else replace(c, id=f"call_{first + i}") for i, c in enumerate(piece.tool_calls)]
        if reply.get("done") is True:
            self._finish = finish_reason(reply, called=bool(self._tools))
            self._usage = usage_from(self._call.order, reply)
        deltas = [
            {"index": i, "id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments_json}}
            for i, c in enumerate(self._tools[first:], first)
        ]
        if not (piece.content or piece.reasoning or deltas or self._finish):
            return None
        return Chunk(piece.content, piece.reasoning, orjson.dumps(deltas).decode() if deltas else None, self._finish, self._usage)

    def result(self) -> Completion | Failed:
        if self._refused is not None:
            return Failed(self._refused, self._usage)
        if self._finish is None:
            return Failed(truncated(self._provider))
        output = Output(
            content="".join(p.content or "" for p in self._pieces) or None,
            tool_calls=tuple(self._tools),
            finish_reason=self._finish,
            reasoning="".join(p.reasoning or "" for p in self._pieces) or None,
            response_model=self._pieces[-1].response_model,
        )
        return Completion(output, self._usage)
