"""A streamed answer as OpenAI's events: a chat's chunks, or a text completion's.

Source of the shapes: OpenAI's API reference, "Chat", "Completions"; `openai.types.chat.ChatCompletionChunk` of its SDK.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from processors.api.finish import finish_of
from processors.api.named import Named
from processors.api.openai_response import text_finish, usage_of
from processors.api.refusals import Refusal
from processors.api.sse import sse
from schemas.calls import Output
from schemas.outcomes import InferenceResponse


@dataclass(frozen=True, slots=True)
class OpenAiStream:
    """A Stream: `chat` or a text completion, with usage at its end if the client asked for it."""

    named: Named
    chat: bool
    include_usage: bool

    def opening(self) -> bytes:
        """The first event of a chat: the role; nothing for a text completion."""
        return self._event({"role": "assistant", "content": "", "refusal": None}) if self.chat else b""

    def reasoning(self, content: str) -> bytes:
        return self._event({"reasoning_content": content}) if self.chat else b""

    def text(self, content: str) -> bytes:
        return self._event({"content": content}) if self.chat else self._choices({"text": content})

    def refusal(self, content: str) -> bytes:
        return self._event({"refusal": content}) if self.chat else b""

    def tool_deltas(self, deltas: list[dict[str, Any]]) -> bytes:
        return self._event({"tool_calls": deltas}) if self.chat else b""

    def closing(self, response: InferenceResponse) -> Iterator[bytes]:
        """The finish reason, the usage if it was asked for, and the end mark."""
        output = response.output or Output()
        yield self._choices({"delta": {}}, finish_of(output)) if self.chat else self._choices({"text": ""}, text_finish(output))
        if self.include_usage:
            yield sse({**self._head(response.response_model), "choices": [], "usage": usage_of(response.usage)})
        yield b"data: [DONE]\n\n"

    def failing(self, refusal: Refusal) -> bytes:
        return sse(refusal.openai())

    def _event(self, delta: dict[str, Any]) -> bytes:
        return self._choices({"delta": delta})

    def _choices(self, said: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return sse({**self._head(None), "choices": [choice], **({"usage": None} if self.include_usage else {})})

    def _head(self, model: str | None) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return {"id": self.named.request_id, "object": kind, "created": self.named.created_s, "model": model or self.named.model}
