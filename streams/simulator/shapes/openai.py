"""OpenAI's API, and that of all who copy it: chat completions, completions, embeddings."""

import base64
import struct
from collections.abc import Mapping
from typing import Any

import orjson

from streams.simulator.answers import Answer, Finish
from streams.simulator.ask import Ask, BadRequest, Tool, conversation, mentioned, required, tools_tokens, whole_number
from streams.simulator.embedding import MAX_DIMENSIONS, embedding
from streams.simulator.endpoints import Endpoint, Operation
from streams.simulator.reply import Part
from streams.simulator.shapes.stamp import MODELS, Stamp, content
from streams.simulator.tokens import Usage, count

_DIMENSIONS = 1536
_MAX_INPUTS = 2048
_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.TOOL: "tool_calls"}
_DONE = b"data: [DONE]\n\n"
_ERRORS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}
_GOOGLE_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"} | {
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


def read(endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    model = required(body, "model", str, "a string")
    if body.get("n") not in {None, 1}:
        raise BadRequest("'n' must be 1: the simulator answers with one choice")
    if endpoint.operation is Operation.EMBEDDINGS:
        return _embeddings(model, body)
    options = body.get("stream_options") or {}
    stream = bool(body.get("stream"))
    common: dict[str, Any] = {
        "stream": stream,
        "include_usage": not stream or bool(options.get("include_usage")),
        "max_output_tokens": whole_number(body, "max_completion_tokens", "max_tokens"),
        "metadata": body.get("metadata"),
    }
    if endpoint.operation is Operation.TEXT_COMPLETION:
        prompt = body.get("prompt", "")
        text = prompt if isinstance(prompt, str) else "\n".join(_texts(prompt, "prompt"))
        return Ask(model, count(text), text, **common)
    messages = required(body, "messages", list, "a list of messages")
    if not messages:
        raise BadRequest("'messages' must not be empty")
    tokens, text, is_last = conversation(messages)
    tool = _tool(body, text if is_last else "")
    return Ask(model, tokens + tools_tokens(body.get("tools")), text, tool=tool, json_schema=_json_schema(body), **common)


def _tool(body: Mapping[str, Any], text: str) -> Tool | None:
    """The tool to call: the named one, the first when one is required, or one that the last user message names."""
    tools = [
        Tool(str(function.get("name", "")), function.get("parameters") or {})
        for tool in body.get("tools") or ()
        if isinstance(function := tool.get("function"), Mapping)
    ]
    choice = body.get("tool_choice", "auto")
    if isinstance(choice, Mapping):
        name = (choice.get("function") or {}).get("name")
        found = next((tool for tool in tools if tool.name == name), None)
        if found is None:
            raise BadRequest(f"'tool_choice' names {name!r}, which is not in 'tools'")
        return found
    if choice == "required" and tools:
        return tools[0]
    return mentioned(tools, text) if choice != "none" else None


def _json_schema(body: Mapping[str, Any]) -> Any:
    wanted = body.get("response_format")
    if not isinstance(wanted, Mapping):
        return None
    if wanted.get("type") == "json_schema":
        return (wanted.get("json_schema") or {}).get("schema") or {}
    return {} if wanted.get("type") == "json_object" else None


def _texts(value: object, name: str) -> tuple[str, ...]:
    """Texts to embed or complete; a list of token ids stands for a text of as many tokens."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value:
        if all(isinstance(item, str) for item in value):
            return tuple(value)
        lists = [value] if isinstance(value[0], int) else value
        if all(isinstance(ids, list) and all(isinstance(i, int) for i in ids) for ids in lists):
            return tuple("".join(f"{i:<4}"[:4] for i in ids) for ids in lists)
    raise BadRequest(f"'{name}' must be a text, a list of texts or token ids, and not be empty")


def _embeddings(model: str, body: Mapping[str, Any]) -> Ask:
    inputs = _texts(body.get("input"), "input")
    if len(inputs) > _MAX_INPUTS:
        raise BadRequest(f"'input' must not hold more than {_MAX_INPUTS} texts")
    dimensions = whole_number(body, "dimensions") or _DIMENSIONS
    if dimensions > MAX_DIMENSIONS:
        raise BadRequest(f"'dimensions' must be at most {MAX_DIMENSIONS}")
    as_base64 = body.get("encoding_format") == "base64"
    tokens = sum(count(text) for text in inputs)
    return Ask(model, tokens, inputs[0], inputs=inputs, dimensions=dimensions, base64=as_base64)


def _usage(endpoint: Endpoint, told: Usage | None) -> dict[str, Any]:
    if told is None:
        return {}
    usage: dict[str, Any] = {
        "prompt_tokens": told.input_tokens,
        "completion_tokens": told.output_tokens,
        "total_tokens": told.input_tokens + told.output_tokens,
        "prompt_tokens_details": {"cached_tokens": told.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    if endpoint.provider == "deepseek":
        usage["prompt_cache_hit_tokens"] = told.cache_read_tokens
        usage["prompt_cache_miss_tokens"] = told.input_tokens - told.cache_read_tokens
    return {"usage": usage}


def _head(endpoint: Endpoint, ask: Ask, stamp: Stamp, kind: str) -> dict[str, Any]:
    prefix = "cmpl" if endpoint.operation is Operation.TEXT_COMPLETION else "chatcmpl"
    return {
        "id": f"{prefix}-{stamp.hex}",
        "object": kind,
        "created": int(stamp.now_s),
        "model": ask.model,
        "system_fingerprint": "fp_simulated",
    }


def whole(endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp) -> bytes:
    choice: dict[str, Any] = {"index": 0, "logprobs": None, "finish_reason": _FINISH[answer.finish]}
    if endpoint.operation is Operation.TEXT_COMPLETION:
        head = _head(endpoint, ask, stamp, "text_completion")
        return orjson.dumps({**head, "choices": [{"text": answer.text, **choice}], **_usage(endpoint, told)})
    message: dict[str, Any] = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if answer.tool is not None:
        function = {"name": answer.tool.name, "arguments": answer.tool.arguments.decode()}
        message["content"] = None
        message["tool_calls"] = [{"id": f"call_{stamp.hex}", "type": "function", "function": function}]
    head = _head(endpoint, ask, stamp, "chat.completion")
    return orjson.dumps({**head, "choices": [{"message": message, **choice}], **_usage(endpoint, told)})


def events(endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp, *, count: int) -> list[Part]:
    completion = endpoint.operation is Operation.TEXT_COMPLETION
    head = _head(endpoint, ask, stamp, "text_completion" if completion else "chat.completion.chunk")
    if ask.include_usage:
        head["usage"] = None

    def event(choices: list[dict[str, Any]], tokens: int = 0, **more: Any) -> Part:
        return Part(b"data: %b\n\n" % orjson.dumps({**head, "choices": choices, **more}), tokens)

    def choice(finish: str | None = None, **delta: Any) -> list[dict[str, Any]]:
        body = {"text": delta.get("content", "")} if completion else {"delta": delta}
        return [{"index": 0, **body, "logprobs": None, "finish_reason": finish}]

    found = [] if completion else [event(choice(role="assistant", content=None if answer.tool else ""))]
    if answer.tool is not None:
        function = {"name": answer.tool.name, "arguments": ""}
        opening = {"index": 0, "id": f"call_{stamp.hex}", "type": "function", "function": function}
        found.append(event(choice(tool_calls=[opening])))
        for piece, tokens in content(answer.tool.arguments.decode(), answer.usage.output_tokens, count):
            found.append(event(choice(tool_calls=[{"index": 0, "function": {"arguments": piece}}]), tokens))
    else:
        for piece, tokens in content(answer.text, answer.usage.output_tokens, count):
            found.append(event(choice(content=piece), tokens))
    found.append(event(choice(_FINISH[answer.finish])))
    if ask.include_usage and told is not None:
        found.append(event([], **_usage(endpoint, told)))
    return [*found, Part(_DONE)]


def stream_type(_ask: Ask) -> str:
    return "text/event-stream; charset=utf-8"


def vectors(_endpoint: Endpoint, ask: Ask, told: Usage | None, _stamp: Stamp) -> bytes:
    data = []
    for i, text in enumerate(ask.inputs):
        vector: Any = embedding(text, ask.dimensions or _DIMENSIONS)
        if ask.base64:
            vector = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": i, "embedding": vector})
    usage = {} if told is None else {"usage": {"prompt_tokens": told.input_tokens, "total_tokens": told.input_tokens}}
    return orjson.dumps({"object": "list", "data": data, "model": ask.model, **usage})


def token_count(tokens: int) -> bytes:
    return orjson.dumps({"total_tokens": tokens})


def models() -> bytes:
    data = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"} for name in MODELS]
    return orjson.dumps({"object": "list", "data": data})


def error(status: int, message: str, *, provider: str, code: str | None = None) -> bytes:
    if provider == "google":  # its OpenAI-compatible path wraps Google's own error in a list
        known = _GOOGLE_STATUS.get(status, "UNKNOWN")
        return orjson.dumps([{"error": {"code": status, "message": message, "status": known}}])
    kind, usual = _ERRORS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    if code == "context_too_long":
        usual = "context_length_exceeded"
    param = "messages" if code else None
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": usual}})


def error_event(message: str) -> bytes:
    return b"data: %b\n\n" % error(500, message, provider="openai")


def id_header(stamp: Stamp) -> tuple[str, str]:
    return "x-request-id", f"req_{stamp.hex}"
