"""OpenAI batch lines as requests of ours: `{"custom_id", "method", "url", "body"}`.

Pure. Parameters that have a field of their own go there; all others pass through in `extra_json`, so that nothing asked for
is lost. Source of the shapes: OpenAI's API reference, "Batch", "Chat", "Completions", "Embeddings".
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from schemas.requests import ContentPart, InferenceRequest, Message, Operation, Sampling, ToolCall


class BadLine(Exception):
    """A line that cannot be published; the message says what is wrong with it, and quotes no prompt."""


def from_batch(line: Mapping[str, Any], *, request_id: str, tenant: str, model: str) -> InferenceRequest:
    """The request of one line. `request_id` and `model` are used where the line names none. Raises BadLine."""
    body = line.get("body")
    if not isinstance(body, dict):
        raise BadLine("`body` must be an object with the parameters of the call")
    if (method := line.get("method", "POST")) != "POST":
        raise BadLine(f"`method` must be POST, not {str(method)[:20]!r}")
    url = str(line.get("url", ""))
    read = _ENDPOINTS.get(url.rstrip("/"))
    if read is None:
        raise BadLine(f"`url` {url[:60]!r} is not supported; use {', '.join(_ENDPOINTS)}")
    rest = dict(body)
    rest.pop("stream_options", None)  # workers ask for the usage of a stream by themselves
    stream = rest.pop("stream", False)
    if not isinstance(stream, bool):
        raise BadLine("`stream` must be true or false")
    common: dict[str, Any] = {
        "request_id": _text(line.get("custom_id", request_id), "custom_id"),
        "tenant": tenant,
        "model": _text(rest.pop("model", model), "model"),
        "user": _text(rest.pop("user", None), "user", optional=True),
        "metadata": _metadata(rest.pop("metadata", None)),
        "stream": stream,
    }
    specific = read(rest)
    extra = json.dumps(rest, separators=(",", ":"), ensure_ascii=False) if rest else None
    return InferenceRequest(**common, **specific, extra_json=extra)


def _chat(rest: dict[str, Any]) -> dict[str, Any]:
    messages = rest.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise BadLine("`messages` must be a list with at least one message")
    passed = {
        f"{name}_json": json.dumps(rest.pop(name), separators=(",", ":"), ensure_ascii=False)
        for name in ("tools", "tool_choice", "response_format")
        if rest.get(name) is not None
    }
    return {
        "operation": Operation.CHAT,
        "messages": tuple(_message(m, number) for number, m in enumerate(messages, start=1)),
        "sampling": _sampling(rest),
        **passed,
    }


def _text_completion(rest: dict[str, Any]) -> dict[str, Any]:
    texts = _texts(rest.pop("prompt", None), "prompt")
    return {"operation": Operation.TEXT_COMPLETION, "input": texts, "sampling": _sampling(rest)}


def _embeddings(rest: dict[str, Any]) -> dict[str, Any]:
    return {"operation": Operation.EMBEDDINGS, "input": _texts(rest.pop("input", None), "input")}


_ENDPOINTS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _text_completion,
    "/v1/embeddings": _embeddings,
}


def _message(message: Any, number: int) -> Message:
    where = f"message {number}"
    if not isinstance(message, dict):
        raise BadLine(f"{where} must be an object")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise BadLine(f"{where}: `content` must be text or a list of parts")
    return Message(
        role=_text(message.get("role"), f"{where}: `role`"),
        content=content if isinstance(content, str) else None,
        parts=tuple(_part(part, where) for part in content) if isinstance(content, list) else (),
        name=_text(message.get("name"), f"{where}: `name`", optional=True),
        tool_calls=tuple(_tool_call(call, where) for call in message.get("tool_calls") or ()),
        tool_call_id=_text(message.get("tool_call_id"), f"{where}: `tool_call_id`", optional=True),
    )


def _part(part: Any, where: str) -> ContentPart:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise BadLine(f"{where}: every part of `content` must be an object with a `type`")
    if part["type"] == "text" and isinstance(part.get("text"), str):
        return ContentPart("text", text=part["text"])
    image = part.get("image_url")
    if part["type"] == "image_url" and isinstance(image, dict) and set(image) == {"url"} and isinstance(image["url"], str):
        return ContentPart("image_url", image_url=image["url"])
    return ContentPart(part["type"], data_json=json.dumps(part, separators=(",", ":"), ensure_ascii=False))


def _tool_call(call: Any, where: str) -> ToolCall:
    try:
        function = call["function"]
        return ToolCall(str(call["id"]), str(function["name"]), str(function["arguments"]))
    except (KeyError, TypeError) as error:
        raise BadLine(f"{where}: a tool call needs `id` and `function` with `name` and `arguments`") from error


def _sampling(rest: dict[str, Any]) -> Sampling:
    bound = rest.pop("max_tokens", None)
    bound = rest.pop("max_completion_tokens", bound)
    stop = rest.pop("stop", None)
    return Sampling(
        temperature=_number(rest.pop("temperature", None), "temperature"),
        top_p=_number(rest.pop("top_p", None), "top_p"),
        max_output_tokens=_whole(bound, "max_tokens"),
        stop=() if stop is None else _texts(stop, "stop"),
        seed=_whole(rest.pop("seed", None), "seed"),
        presence_penalty=_number(rest.pop("presence_penalty", None), "presence_penalty"),
        frequency_penalty=_number(rest.pop("frequency_penalty", None), "frequency_penalty"),
    )


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return tuple(value)
    raise BadLine(f"`{name}` must be a text or a list of texts (lists of token numbers are not supported)")


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadLine("`metadata` must be an object")
    return {str(name): text if isinstance(text, str) else json.dumps(text) for name, text in value.items()}


def _text(value: Any, name: str, *, optional: bool = False) -> Any:
    if (value is None and optional) or (isinstance(value, str) and value):
        return value
    raise BadLine(f"{name} must be a text that is not empty")


def _number(value: Any, name: str) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise BadLine(f"`{name}` must be a number")


def _whole(value: Any, name: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise BadLine(f"`{name}` must be a whole number")
