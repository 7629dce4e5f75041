"""Google's Generative Language API (Gemini). Its streams frame events with CR LF, as the real one does."""

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
from streams.simulator.embedding import MAX_DIMENSIONS, embedding
from streams.simulator.endpoints import Endpoint, Operation
from streams.simulator.reply import Part
from streams.simulator.shapes.stamp import MODELS, Stamp, content
from streams.simulator.tokens import Usage
from streams.simulator.tokens import count as count_tokens

_DIMENSIONS = 768
_FINISH = {Finish.STOP: "STOP", Finish.LENGTH: "MAX_TOKENS", Finish.TOOL: "STOP"}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read(endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    model = endpoint.model or ""
    if endpoint.operation is Operation.EMBEDDINGS:
        return _embeddings(model, endpoint, body)
    contents = required(body, "contents", list, "a list of contents")
    if not contents:
        raise BadRequest("contents is not specified")
    config = body.get("generationConfig") or {}
    tokens, text, is_last = conversation(contents, content="parts")
    system = body.get("systemInstruction") or {}
    instruction, extra = content_text(system.get("parts") if isinstance(system, Mapping) else system)
    return Ask(
        model,
        tokens + count_tokens(instruction) + extra + tools_tokens(body.get("tools")),
        text,
        stream=bool(endpoint.stream),
        max_output_tokens=whole_number(config, "maxOutputTokens"),
        tool=_tool(body, text if is_last else ""),
        json_schema=_json_schema(config),
    )


def _tool(body: Mapping[str, Any], text: str) -> Tool | None:
    """The tool to call: the first allowed one in mode ANY, else one that the last user message names."""
    tools = [
        Tool(str(f.get("name", "")), f.get("parameters") or f.get("parametersJsonSchema") or {})
        for group in body.get("tools") or ()
        for f in group.get("functionDeclarations") or ()
    ]
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = config.get("allowedFunctionNames")
    if allowed:
        tools = [tool for tool in tools if tool.name in allowed]
    mode = config.get("mode", "AUTO")
    if mode == "ANY" and tools:
        return tools[0]
    return mentioned(tools, text) if mode != "NONE" else None


def _json_schema(config: Mapping[str, Any]) -> Any:
    if config.get("responseMimeType") != "application/json":
        return None
    return config.get("responseSchema") or config.get("responseJsonSchema") or {}


def _embeddings(model: str, endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    requests = required(body, "requests", list, "a list of requests") if endpoint.batch else [body]
    inputs = []
    for request in requests:
        parts = request.get("content") if isinstance(request, Mapping) else None
        if not isinstance(parts, Mapping):
            raise BadRequest("content must be an object with parts")
        inputs.append(content_text(parts.get("parts"))[0])
    if not inputs:
        raise BadRequest("requests must not be empty")
    first = requests[0]
    dimensions = whole_number(first, "outputDimensionality") or _DIMENSIONS
    if dimensions > MAX_DIMENSIONS:
        raise BadRequest(f"outputDimensionality must be at most {MAX_DIMENSIONS}")
    tokens = sum(count_tokens(text) for text in inputs)
    return Ask(model, tokens, inputs[0], inputs=tuple(inputs), dimensions=dimensions)


def _usage(told: Usage | None, *, output_tokens: int | None = None) -> dict[str, Any]:
    if told is None:
        return {}
    output = told.output_tokens if output_tokens is None else output_tokens
    usage = {
        "promptTokenCount": told.input_tokens,
        "candidatesTokenCount": output,
        "totalTokenCount": told.input_tokens + output,
    }
    if told.cache_read_tokens:
        usage["cachedContentTokenCount"] = told.cache_read_tokens
    return {"usageMetadata": usage}


def _body(ask: Ask, stamp: Stamp, part: dict[str, Any], finish: str | None, usage: dict[str, Any]) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return orjson.dumps({"candidates": [candidate], **usage, "modelVersion": ask.model, "responseId": stamp.hex})


def _part(answer: Answer) -> dict[str, Any]:
    if answer.tool is None:
        return {"text": answer.text}
    return {"functionCall": {"name": answer.tool.name, "args": orjson.loads(answer.tool.arguments)}}


def whole(_endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp) -> bytes:
    return _body(ask, stamp, _part(answer), _FINISH[answer.finish], _usage(told))


def events(_endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp, *, count: int) -> list[Part]:
    """Each event says the usage so far; the last has the reason of the end. A function call comes whole."""
    finish = _FINISH[answer.finish]
    if answer.tool is not None:
        only = _body(ask, stamp, _part(answer), finish, _usage(told))
        return [Part(_framed(only), answer.usage.output_tokens)]
    cut = content(answer.text, answer.usage.output_tokens, count)
    found, said = [], 0
    for i, (piece, tokens) in enumerate(cut):
        last = i == len(cut) - 1
        said += tokens
        # A usage that is told wrong on purpose is told wrong from the first event on.
        honest = told == answer.usage and not last
        usage = _usage(told, output_tokens=said if honest else None)
        body = _body(ask, stamp, {"text": piece}, finish if last else None, usage)
        found.append(Part(_framed(body), tokens))
    return found


def _framed(body: bytes) -> bytes:
    return b"data: %b\r\n\r\n" % body


def stream_type(_ask: Ask) -> str:
    return "text/event-stream"


def vectors(endpoint: Endpoint, ask: Ask, _told: Usage | None, _stamp: Stamp) -> bytes:
    values = [{"values": embedding(text, ask.dimensions or _DIMENSIONS)} for text in ask.inputs]
    return orjson.dumps({"embeddings": values} if endpoint.batch else {"embedding": values[0]})


def token_count(tokens: int) -> bytes:
    return orjson.dumps({"totalTokens": tokens})


def models() -> bytes:
    methods = ["generateContent", "countTokens", "embedContent"]
    data = [{"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods} for name in MODELS]
    return orjson.dumps({"models": data})


def error(status: int, message: str, *, provider: str, code: str | None = None) -> bytes:  # noqa: ARG001 - one face for all shapes
    return orjson.dumps({"error": {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}})


def error_event(message: str) -> bytes:
    return _framed(error(503, message, provider="google"))


def id_header(stamp: Stamp) -> tuple[str, str]:
    return "x-request-id", stamp.hex
