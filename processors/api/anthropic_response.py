"""Our final responses as Anthropic's messages.

Source of the shapes: Anthropic's API reference, "Messages"; `anthropic.types.Message` of its SDK.
"""

from typing import Any

import orjson

from processors.api.finish import finish_of
from processors.api.named import Named
from schemas.calls import Output, Usage
from schemas.outcomes import InferenceResponse

_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
NO_USAGE = Usage(0, 0)
"""Anthropic's shape has no word for counts that nobody knows."""


def message(response: InferenceResponse, named: Named) -> dict[str, Any]:
    """The body of a whole answer."""
    output = response.output or Output()
    return {
        **head(named, response.response_model),
        "content": blocks_of(output),
        "stop_reason": stop_reason_of(output),
        "usage": usage_of(response.usage or NO_USAGE),
    }


def head(named: Named, model: str | None) -> dict[str, Any]:
    """A message without content, before anything is known of how it ends."""
    return {
        "id": named.request_id,
        "type": "message",
        "role": "assistant",
        "model": model or named.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def blocks_of(output: Output) -> list[dict[str, Any]]:
    """Thinking, text and tool calls, in the order in which Anthropic gives them. The thinking has no signature."""
    blocks: list[dict[str, Any]] = []
    if output.reasoning:
        blocks.append({"type": "thinking", "thinking": output.reasoning, "signature": ""})
    if said := (output.content or "") + (output.refusal or ""):
        blocks.append({"type": "text", "text": said})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": input_of(call.arguments_json)}
        for call in output.tool_calls
    ]
    return blocks


def input_of(arguments_json: str) -> dict[str, Any]:
    """A tool's input as an object; what a model wrote that is none stands under `_raw`, for the tool to refuse.

    >>> input_of('{"a":1}'), input_of(""), input_of('{"a":')
    ({'a': 1}, {}, {'_raw': '{"a":'})
    """
    try:
        value = orjson.loads(arguments_json or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"_raw": arguments_json}


def stop_reason_of(output: Output) -> str:
    """One of the stop reasons that Anthropic's types allow; which stop sequence it was, providers do not tell us."""
    return "refusal" if output.refusal else _STOPS[finish_of(output)]


def usage_of(usage: Usage) -> dict[str, Any]:
    """Token counts as Anthropic gives them: `input_tokens` leave out what was read from and written to the cache; ours hold it.

    >>> usage_of(Usage(10, 5, cache_read_input_tokens=6, cache_write_input_tokens=1))["input_tokens"]
    3
    """
    cached = usage.cache_read_input_tokens + usage.cache_write_input_tokens
    return {
        "input_tokens": max(0, usage.input_tokens - cached),
        "cache_creation_input_tokens": usage.cache_write_input_tokens,
        "cache_read_input_tokens": usage.cache_read_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
