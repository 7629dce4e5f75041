"""Folds OpenAI's stream of chunks into one Completion."""

from dataclasses import dataclass
from typing import Any

import orjson

from processors.providers.contract import Chunk, Completion, Failed, ProviderCall
from processors.providers.failures import refusal, truncated
from processors.providers.openai_wire import content_of, finish_reason, reasoning_of, usage_from
from processors.providers.shape import as_object, objects, parse, text
from processors.providers.sse import Event
from schemas.calls import Billing, Failure, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ToolCall

_STATUS_OF_CODE = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "server_overloaded": 503,
}


@dataclass(slots=True)
class _Tool:
    id: str = ""
    name: str = ""
    arguments: str = ""


class ChatFold:
    """One streamed answer, chat or text completion.

    Rules
    1. The answer is whole once a finish reason or [DONE] was seen; a stream that ends before either is truncated.
    2. After its finish reason an answer gets no more content, and it gets a role before its content or never. A stream that
       breaks this, or that repeats a numbered event, was reordered or doubled on the way: its answer cannot be trusted.
    3. Usage comes as a total, mostly in a last chunk without choices: the last one told holds.
    """

    def __init__(self, call: ProviderCall, provider: str) -> None:
        self._call = call
        self._provider = provider
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._tools: dict[int, _Tool] = {}
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._role_told = False
        self._seen_ids: set[bytes] = set()
        self._refused: Failure | None = None
        self._answered = False
        self._done = False

    @property
    def ended(self) -> bool:
        return self._done or self._refused is not None

    @property
    def whole(self) -> bool:
        return self._refused is None and self._answered and (self._done or self._finish is not None)

    @property
    def usage(self) -> Usage | None:
        return self._usage

    def add(self, event: Event) -> Chunk | None:
        """The chunk that the event tells, if any. Raises ProviderContractError when the event cannot be."""
        if event.id is not None:
            if event.id in self._seen_ids:
                raise ProviderContractError("an event came twice")
            self._seen_ids.add(event.id)
        if event.data.strip() == b"[DONE]":
            self._done = True
            return None
        if not event.data:
            return None
        wire = parse(event.data)
        if wire.get("error"):
            self._refused = self._refusal_of(wire["error"])
            return None
        self._model = self._model or text(wire.get("model"), "model")
        self._id = self._id or text(wire.get("id"), "id")
        if (usage := usage_from(self._call.order, wire.get("usage"))) is not None:
            self._usage = usage
        choices = [c for c in objects(wire.get("choices"), "choices") if c.get("index", 0) == 0]
        return self._take(choices[0]) if choices else (Chunk(usage=usage) if usage else None)

    def _take(self, choice: dict[str, Any]) -> Chunk | None:
        self._answered = True
        delta = {"content": choice["text"]} if "text" in choice else as_object(choice.get("delta") or {}, "a delta")
        content, reasoning = content_of(delta.get("content")), reasoning_of(delta)
        refused = text(delta.get("refusal"), "refusal")
        tools = objects(delta.get("tool_calls"), "tool_calls")
        finish = finish_reason(choice.get("finish_reason"))
        if self._finish is not None and (content or reasoning or tools):
            raise ProviderContractError("content came after its finish reason")
        if delta.get("role"):
            if self._content and not self._role_told:
                raise ProviderContractError("the role came after the content")
            self._role_told = True
        for parts, part in ((self._content, content), (self._reasoning, reasoning), (self._refusal, refused)):
            if part:
                parts.append(part)
        for tool in tools:
            self._take_tool(tool)
        self._finish = finish or self._finish
        if not (content or reasoning or tools or finish):
            return None
        return Chunk(content, reasoning, orjson.dumps(tools).decode() if tools else None, finish)

    def _take_tool(self, wire: dict[str, Any]) -> None:
        index = wire.get("index", len(self._tools))
        if type(index) is not int or not 0 <= index <= len(self._tools):
            raise ProviderContractError("the delta of a tool call is out of order")
        tool = self._tools.setdefault(index, _Tool())
        function = as_object(wire.get("function") or {}, "the function of a tool call")
        tool.id = tool.id or text(wire.get("id"), "id") or ""
        tool.name = tool.name or text(function.get("name"), "name") or ""
        tool.arguments += text(function.get("arguments"), "arguments") or ""

    def result(self) -> Completion | Failed:
        if self._refused is not None:
            return Failed(self._refused, self._usage)
        if not self._answered and self._done:
            raise ProviderContractError("the stream held no choice")
        if not self.whole:
            return Failed(truncated(self._provider), self._usage)
        if any(not tool.name for tool in self._tools.values()):
            raise ProviderContractError("a tool call has no name")
        output = Output(
            content="".join(self._content) or None,
            tool_calls=tuple(ToolCall(t.id, t.name, t.arguments) for t in self._tools.values()),
            finish_reason=self._finish,
            reasoning="".join(self._reasoning) or None,
            refusal="".join(self._refusal) or None,
            response_model=self._model,
            provider_response_id=self._id,
        )
        return Completion(output, self._usage)

    def _refusal_of(self, error: Any) -> Failure:
        """An error inside a stream; vLLM and OpenRouter put an HTTP status into `code`. What came before it may be billed."""
        wire = error if isinstance(error, dict) else {}
        code = wire.get("code")
        status = code if type(code) is int and 400 <= code <= 599 else _STATUS_OF_CODE.get(str(code or wire.get("type")), 500)
        failure = refusal(
            self._provider, status, {}, code=code if isinstance(code, str) else wire.get("type"), prose=str(wire.get("message"))
        )
        billing = Billing.UNKNOWN if self._content or self._reasoning or self._tools else Billing.NOT_BILLED
        return Failure(
            failure.kind, f"{failure.message} (inside its stream)", billing, failure.http_status, failure.retry_after_s
        )
