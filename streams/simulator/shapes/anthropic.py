"""Anthropic's Messages API. Its `input_tokens` exclude cached tokens; its streamed usage is cumulative."""

from collections.abc import Mapping
from typing import Any

import orjson

from streams.simulator.answers import Answer, Finish
from streams.simulator.ask import (
    Ask,
    BadRequest,
    Tool,
    content_text,
    conversation,
    mentioned,
    required,
    tools_tokens,
    whole_number,
)
from streams.simulator.endpoints import Endpoint, Operation
from streams.simulator.reply import Part
from streams.simulator.shapes.stamp import MODELS, Stamp, content
from streams.simulator.tokens import Usage
from streams.simulator.tokens import count as count_tokens

_FINISH = {Finish.STOP: "end_turn", Finish.LENGTH: "max_tokens", Finish.TOOL: "tool_use"}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def read(endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    model = required(body, "model", str, "a string")
    messages = required(body, "messages", list, "a list of messages")
    if not messages:
        raise BadRequest("'messages' must not be empty")
    limit = whole_number(body, "max_tokens")
    if limit is None and endpoint.operation is Operation.CHAT:
        raise BadRequest("max_tokens: Field required")
    tokens, text, is_last = conversation(messages)
    system, extra = content_text(body.get("system"))
    return Ask(
        model,
        tokens + count_tokens(system) + extra + tools_tokens(body.get("tools")),
        text,
        stream=bool(body.get("stream")),
        max_output_tokens=limit,
        tool=_tool(body, text if is_last else ""),
        json_schema=_json_schema(body),
        metadata=body.get("metadata"),
    )


def _tool(body: Mapping[str, Any], text: str) -> Tool | None:
    """The tool to call: the named one, the first for `any`, or one that the last user message names."""
    tools = [Tool(str(tool.get("name", "")), tool.get("input_schema") or {}) for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    if kind == "tool":
        name = choice.get("name")
        found = next((tool for tool in tools if tool.name == name), None)
        if found is None:
            raise BadRequest(f"tool_choice: tool {name!r} is not in tools")
        return found
    if kind == "any" and tools:
        return tools[0]
    return mentioned(tools, text) if kind != "none" else None


def _json_schema(body: Mapping[str, Any]) -> Any:
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    return (wanted.get("schema") or {}) if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema" else None


def _input_usage(told: Usage) -> dict[str, Any]:
    return {
        "input_tokens": told.uncached_tokens,
        "cache_creation_input_tokens": told.cache_write_tokens,
        "cache_read_input_tokens": told.cache_read_tokens,
    }


def _message(ask: Ask, stamp: Stamp, blocks: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    return {
        "id": f"msg_{stamp.hex}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": blocks,
        "stop_reason": finish,
        "stop_sequence": None,
    }


def whole(_endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp) -> bytes:
    if answer.tool is not None:
        arguments = orjson.loads(answer.tool.arguments)
        block = {"type": "tool_use", "id": f"toolu_{stamp.hex}", "name": answer.tool.name, "input": arguments}
    else:
        block = {"type": "text", "text": answer.text}
    body = _message(ask, stamp, [block], _FINISH[answer.finish])
    if told is not None:
        body["usage"] = {**_input_usage(told), "output_tokens": told.output_tokens, "service_tier": "standard"}
    return orjson.dumps(body)


def _event(name: str, tokens: int = 0, **fields: Any) -> Part:
    return Part(b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **fields})), tokens)


def events(_endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp, *, count: int) -> list[Part]:
    message = _message(ask, stamp, [], None)
    closing: dict[str, Any] = {}
    if told is not None:
        message["usage"] = {**_input_usage(told), "output_tokens": min(1, told.output_tokens)}
        closing["usage"] = {**_input_usage(told), "output_tokens": told.output_tokens}
    if answer.tool is not None:
        block = {"type": "tool_use", "id": f"toolu_{stamp.hex}", "name": answer.tool.name, "input": {}}
        text, field, kind = answer.tool.arguments.decode(), "partial_json", "input_json_delta"
    else:
        block = {"type": "text", "text": ""}
        text, field, kind = answer.text, "text", "text_delta"
    deltas = [
        _event("content_block_delta", tokens, index=0, delta={"type": kind, field: piece})
        for piece, tokens in content(text, answer.usage.output_tokens, count)
    ]
    return [
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block=block),
        _event("ping"),
        *deltas,
        _event("content_block_stop", index=0),
        _event("message_delta", delta={"stop_reason": _FINISH[answer.finish], "stop_sequence": None}, **closing),
        _event("message_stop"),
    ]


def stream_type(_ask: Ask) -> str:
    return "text/event-stream; charset=utf-8"


def vectors(_endpoint: Endpoint, _ask: Ask, _told: Usage | None, _stamp: Stamp) -> bytes:
    raise NotImplementedError("Anthropic has no embeddings; `endpoints` has no such path")


def token_count(tokens: int) -> bytes:
    return orjson.dumps({"input_tokens": tokens})


def models() -> bytes:
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2025-01-01T00:00:00Z", "lifecycle": "active"}
        for name in MODELS
    ]
    return orjson.dumps({"data": data, "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]})


def error(status: int, message: str, *, provider: str, code: str | None = None) -> bytes:  # noqa: ARG001 - one face for all shapes
    kind = _ERRORS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


def error_event(message: str) -> bytes:
    return b"event: error\ndata: %b\n\n" % error(529, message, provider="anthropic")


def id_header(stamp: Stamp) -> tuple[str, str]:
    return "request-id", f"req_{stamp.hex}"
