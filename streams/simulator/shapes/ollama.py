"""Ollama's own API: streams are lines of JSON, and streaming is what it does unless told not to."""

from collections.abc import Mapping
from typing import Any

import orjson

from streams.simulator.answers import Answer, Finish
from streams.simulator.ask import Ask, BadRequest, Tool, conversation, mentioned, required, tools_tokens, whole_number
from streams.simulator.embedding import MAX_DIMENSIONS, embedding
from streams.simulator.endpoints import Endpoint, Operation
from streams.simulator.reply import Part
from streams.simulator.shapes.stamp import MODELS, Stamp, content
from streams.simulator.tokens import TOKENS_PER_IMAGE, Usage
from streams.simulator.tokens import count as count_tokens

_DIMENSIONS = 768
_FINISH = {Finish.STOP: "stop", Finish.LENGTH: "length", Finish.TOOL: "stop"}


def read(endpoint: Endpoint, body: Mapping[str, Any]) -> Ask:
    model = required(body, "model", str, "a string")
    if endpoint.operation is Operation.EMBEDDINGS:
        return _embeddings(model, body)
    options = body.get("options") or {}
    limit = options.get("num_predict")  # -1 and -2 mean no limit
    common: dict[str, Any] = {
        "stream": body.get("stream", True) is not False,
        "max_output_tokens": whole_number(options, "num_predict") if isinstance(limit, int) and limit > 0 else None,
        "json_schema": _json_schema(body),
    }
    if endpoint.operation is Operation.TEXT_COMPLETION:
        prompt, system = str(body.get("prompt") or ""), str(body.get("system") or "")
        images = TOKENS_PER_IMAGE * len(body.get("images") or ())
        return Ask(model, count_tokens(prompt) + count_tokens(system) + images, prompt, **common)
    messages = required(body, "messages", list, "a list of messages")
    tokens, text, is_last = conversation(messages)
    tools = [
        Tool(str(function.get("name", "")), function.get("parameters") or {})
        for tool in body.get("tools") or ()
        if isinstance(function := tool.get("function"), Mapping)
    ]
    tool = mentioned(tools, text) if is_last else None
    return Ask(model, tokens + tools_tokens(body.get("tools")), text, tool=tool, **common)


def _json_schema(body: Mapping[str, Any]) -> Any:
    wanted = body.get("format")
    return wanted if isinstance(wanted, Mapping) else ({} if wanted == "json" else None)


def _embeddings(model: str, body: Mapping[str, Any]) -> Ask:
    given = body.get("input")
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs) or not inputs:
        raise BadRequest("input must be a text or a list of texts")
    dimensions = whole_number(body, "dimensions") or _DIMENSIONS
    if dimensions > MAX_DIMENSIONS:
        raise BadRequest(f"dimensions must be at most {MAX_DIMENSIONS}")
    tokens = sum(count_tokens(text) for text in inputs)
    return Ask(model, tokens, inputs[0], inputs=tuple(inputs), dimensions=dimensions)


def _line(endpoint: Endpoint, ask: Ask, stamp: Stamp, text: str, answer: Answer | None = None, **more: Any) -> dict[str, Any]:
    head: dict[str, Any] = {"model": ask.model, "created_at": stamp.iso}
    if endpoint.operation is Operation.TEXT_COMPLETION:
        head["response"] = text
    else:
        head["message"] = {"role": "assistant", "content": text}
        if answer is not None and answer.tool is not None:
            arguments = orjson.loads(answer.tool.arguments)
            head["message"]["tool_calls"] = [{"function": {"name": answer.tool.name, "arguments": arguments}}]
    return {**head, **more}


def _closing(answer: Answer, told: Usage | None, stamp: Stamp) -> dict[str, Any]:
    """What the last line says; times are nanoseconds."""
    total_ns = int(stamp.elapsed_ms * 1e6)
    closing: dict[str, Any] = {"done": True, "done_reason": _FINISH[answer.finish], "total_duration": total_ns}
    if told is None:
        return closing
    return {
        **closing,
        "load_duration": 0,
        "prompt_eval_count": told.input_tokens,
        "prompt_eval_duration": total_ns // 4,
        "eval_count": told.output_tokens,
        "eval_duration": total_ns - total_ns // 4,
    }


def whole(endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp) -> bytes:
    return orjson.dumps(_line(endpoint, ask, stamp, answer.text, answer, **_closing(answer, told, stamp)))


def events(endpoint: Endpoint, ask: Ask, answer: Answer, told: Usage | None, stamp: Stamp, *, count: int) -> list[Part]:
    lines: list[tuple[dict[str, Any], int]] = []
    if answer.tool is not None:
        lines.append((_line(endpoint, ask, stamp, "", answer, done=False), answer.usage.output_tokens))
    else:
        for piece, tokens in content(answer.text, answer.usage.output_tokens, count):
            lines.append((_line(endpoint, ask, stamp, piece, done=False), tokens))
    lines.append((_line(endpoint, ask, stamp, "", **_closing(answer, told, stamp)), 0))
    return [Part(orjson.dumps(line) + b"\n", tokens) for line, tokens in lines]


def stream_type(_ask: Ask) -> str:
    return "application/x-ndjson"


def vectors(_endpoint: Endpoint, ask: Ask, told: Usage | None, stamp: Stamp) -> bytes:
    found = [embedding(text, ask.dimensions or _DIMENSIONS) for text in ask.inputs]
    usage = {} if told is None else {"prompt_eval_count": told.input_tokens}
    total_ns = int(stamp.elapsed_ms * 1e6)
    return orjson.dumps({"model": ask.model, "embeddings": found, "total_duration": total_ns, "load_duration": 0, **usage})


def token_count(tokens: int) -> bytes:
    return orjson.dumps({"count": tokens})


def models() -> bytes:
    details = {"format": "gguf", "family": "simulated", "parameter_size": "0B", "quantization_level": "none"}
    data = [
        {"name": name, "model": name, "modified_at": "2025-01-01T00:00:00Z", "size": 0, "digest": "", "details": details}
        for name in MODELS
    ]
    return orjson.dumps({"models": data})


def error(status: int, message: str, *, provider: str, code: str | None = None) -> bytes:  # noqa: ARG001 - one face for all shapes
    return orjson.dumps({"error": message})


def error_event(message: str) -> bytes:
    return orjson.dumps({"error": message}) + b"\n"


def id_header(stamp: Stamp) -> tuple[str, str]:
    return "x-request-id", stamp.hex
