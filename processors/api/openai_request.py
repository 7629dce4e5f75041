"""OpenAI's requests as ours: chat completions, completions, embeddings, and the lines of a batch file.

Parameters that have a field of their own go there; all others pass through in `extra_json`, so that nothing asked for
is lost. Source of the shapes: OpenAI's API reference, "Chat", "Completions", "Embeddings", "Batch".
"""

from collections.abc import Callable, Mapping
from typing import Any

from processors.api import fields
from processors.api.bad_request import BadRequest
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, Sampling, ToolCall


def from_openai(url: str, body: Mapping[str, Any], *, request_id: str, tenant: str, model: str | None = None) -> InferenceRequest:
    """The request of a body posted to `url`, a path of `ENDPOINTS`; `model` is used where the body names none. Raises BadRequest.

    >>> from_openai("/v1/embeddings", {"model": "m", "input": "a"}, request_id="r", tenant="t").input
    ('a',)
    """
    read = ENDPOINTS[url]
    rest = {name: value for name, value in body.items() if value is not None}
    rest.pop("stream_options", None)  # workers ask for the usage of a stream by themselves
    common: dict[str, Any] = {
        "request_id": request_id,
        "tenant": tenant,
        "model": fields.text(rest.pop("model", model), "model"),
        "user": fields.text(rest.pop("user", None), "user", optional=True),
        "metadata": fields.metadata(rest.pop("metadata", None)),
        "stream": fields.flag(rest.pop("stream", None), "stream"),
    }
    specific = read(rest)
    if common["stream"] and specific["operation"] is Operation.EMBEDDINGS:
        raise BadRequest("embeddings come whole: leave `stream` out", "stream")
    return InferenceRequest(**common, **specific, extra_json=fields.compact(rest) if rest else None)


def from_batch(line: Mapping[str, Any], *, request_id: str, tenant: str, model: str | None) -> InferenceRequest:
    """The request of a batch line; `request_id` and `model` are used where the line names none. Raises BadRequest."""
    body = line.get("body")
    if not isinstance(body, dict):
        raise BadRequest("`body` must be an object with the parameters of the call", "body")
    if (method := line.get("method", "POST")) != "POST":
        raise BadRequest(f"`method` must be POST, not {str(method)[:20]!r}", "method")
    url = str(line.get("url", "")).rstrip("/")
    if url not in ENDPOINTS:
        raise BadRequest(f"`url` {url[:60]!r} is not supported; use {', '.join(ENDPOINTS)}", "url")
    named = fields.text(line.get("custom_id", request_id), "custom_id")
    return from_openai(url, body, request_id=named, tenant=tenant, model=model)


def _chat(rest: dict[str, Any]) -> dict[str, Any]:
    _one_answer(rest)
    for name in ("functions", "function_call"):
        if rest.get(name) is not None:
            raise BadRequest(f"`{name}` is not supported: use `tools` and `tool_choice`", name)
    messages = rest.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise BadRequest("`messages` must be a list with at least one message", "messages")
    passed = {
        f"{name}_json": fields.compact(rest.pop(name))
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
    _one_answer(rest)
    texts = fields.texts(rest.pop("prompt", None), "prompt")
    return {"operation": Operation.TEXT_COMPLETION, "input": texts, "sampling": _sampling(rest)}


def _embeddings(rest: dict[str, Any]) -> dict[str, Any]:
    rest.pop("encoding_format", None)  # how the client wants them, whatever the provider sends
    return {"operation": Operation.EMBEDDINGS, "input": fields.texts(rest.pop("input", None), "input")}


ENDPOINTS: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _text_completion,
    "/v1/embeddings": _embeddings,
}


def _one_answer(rest: dict[str, Any]) -> None:
    """An answer of which only the first choice was kept would be paid for whole."""
    for name in ("n", "best_of"):
        if rest.pop(name, None) not in (None, 1):
            raise BadRequest(f"`{name}` must be 1: send the request again for another answer", name)


def _message(message: Any, number: int) -> Message:
    where = f"message {number}"
    if not isinstance(message, dict):
        raise BadRequest(f"{where} must be an object")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise BadRequest(f"{where}: `content` must be text or a list of parts")
    return Message(
        role=fields.text(message.get("role"), f"{where}: `role`"),
        content=content if isinstance(content, str) else None,
        parts=tuple(_part(part, where) for part in content) if isinstance(content, list) else (),
        name=fields.text(message.get("name"), f"{where}: `name`", optional=True),
        tool_calls=tuple(_tool_call(call, where) for call in fields.objects(message.get("tool_calls"), f"{where}: `tool_calls`")),
        tool_call_id=fields.text(message.get("tool_call_id"), f"{where}: `tool_call_id`", optional=True),
    )


def _part(part: Any, where: str) -> ContentPart:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise BadRequest(f"{where}: every part of `content` must be an object with a `type`")
    if part["type"] == "text" and isinstance(part.get("text"), str):
        return ContentPart("text", text=part["text"])
    image = part.get("image_url")
    if part["type"] == "image_url" and isinstance(image, dict) and set(image) == {"url"} and isinstance(image["url"], str):
        return ContentPart("image_url", image_url=image["url"])
    return fields.as_given(part)


def _tool_call(call: Any, where: str) -> ToolCall:
    try:
        function = call["function"]
        return ToolCall(str(call["id"]), str(function["name"]), str(function["arguments"]))
    except (KeyError, TypeError) as error:
        raise BadRequest(f"{where}: a tool call needs `id` and `function` with `name` and `arguments`") from error


def _sampling(rest: dict[str, Any]) -> Sampling:
    bound = rest.pop("max_tokens", None)
    bound = rest.pop("max_completion_tokens", bound)
    stop = rest.pop("stop", None)
    return Sampling(
        temperature=fields.number(rest.pop("temperature", None), "temperature"),
        top_p=fields.number(rest.pop("top_p", None), "top_p"),
        max_output_tokens=fields.whole(bound, "max_tokens"),
        stop=() if stop is None else fields.texts(stop, "stop"),
        seed=fields.whole(rest.pop("seed", None), "seed"),
        presence_penalty=fields.number(rest.pop("presence_penalty", None), "presence_penalty"),
        frequency_penalty=fields.number(rest.pop("frequency_penalty", None), "frequency_penalty"),
    )
