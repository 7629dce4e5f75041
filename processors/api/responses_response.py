"""Our final responses as OpenAI's `response` objects.

Source of the shapes: OpenAI's API reference, "Responses"; `openai.types.responses.Response` of its SDK.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from processors.api.finish import finish_of
from processors.api.named import Named
from processors.api.refusals import Refusal
from schemas.calls import Output, Usage
from schemas.outcomes import InferenceResponse

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED = ("instructions", "max_output_tokens", "temperature", "top_p", "user", "safety_identifier", "prompt_cache_key")


@dataclass(frozen=True, slots=True)
class Answering:
    """A response object: how it is labelled, and the request's body, parts of which it repeats."""

    named: Named
    body: Mapping[str, Any]

    def begun(self) -> dict[str, Any]:
        """The response while nothing is known of the answer."""
        body = self.body
        text = body.get("text") or {}
        reasoning = body.get("reasoning") or {}
        return {
            "id": self.named.request_id,
            "object": "response",
            "created_at": self.named.created_s,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.named.model,
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "reasoning": {"effort": reasoning.get("effort"), "summary": None},
            "text": {**text, "format": text.get("format") or {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": [{"parameters": None, "strict": None, **tool} for tool in body.get("tools") or ()],
            "truncation": "disabled",
            "usage": None,
            "metadata": body.get("metadata") or {},
            **{name: body.get(name) for name in _ECHOED},
        }

    def ended(self, response: InferenceResponse, items: list[dict[str, Any]]) -> dict[str, Any]:
        """The response with its answer, cut short or not."""
        reason = _INCOMPLETE.get(finish_of(response.output or Output()))
        return {
            **self.begun(),
            "model": response.response_model or self.named.model,
            "status": "completed" if reason is None else "incomplete",
            "incomplete_details": None if reason is None else {"reason": reason},
            "completed_at": int(response.answered_at.timestamp()),
            "output": items,
            "usage": None if response.usage is None else usage_of(response.usage),
        }

    def failed(self, refusal: Refusal, items: list[dict[str, Any]]) -> dict[str, Any]:
        """The response without an answer, and why. OpenAI's types allow few codes."""
        code = "rate_limit_exceeded" if refusal.status == 429 else "server_error" if refusal.status >= 500 else "invalid_prompt"
        return {**self.begun(), "status": "failed", "error": {"code": code, "message": refusal.message}, "output": items}

    def items(self, output: Output) -> list[dict[str, Any]]:
        """A whole answer as items: thoughts, a message, function calls."""
        found: list[dict[str, Any]] = []
        if output.reasoning:
            found.append(reasoning_item(self.item_id("rs", 0), output.reasoning))
        if output.content or output.refusal or not output.tool_calls:
            found.append(message_item(self.item_id("msg", len(found)), said(output.content, output.refusal)))
        for call in output.tool_calls:
            found.append(call_item(self.item_id("fc", len(found)), call.id, call.name, call.arguments_json))
        return found

    def item_id(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self.named.request_id}_{index}"


def reasoning_item(item_id: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    return {"id": item_id, "type": "reasoning", "summary": [], "content": content, "status": status}


def message_item(item_id: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}


def call_item(item_id: str, call_id: str, name: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, "status": status}


def said(content: str | None, refusal: str | None) -> list[dict[str, Any]]:
    """The parts of a message: what was said, and why no more; at least one."""
    parts = [text_part(content)] if content else []
    parts += [{"type": "refusal", "refusal": refusal}] if refusal else []
    return parts or [text_part("")]


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Token counts as OpenAI gives them: cached input and reasoning are parts of the sums, as in ours."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_write_input_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
