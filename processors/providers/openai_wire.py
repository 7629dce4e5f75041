"""OpenAI's wire: a request as JSON, a reply as a Completion.

https://platform.openai.com/docs/api-reference
"""

import base64
import re
import struct
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from processors.providers import foreign
from processors.providers.contract import Completion, Failed, ProviderCall
from processors.providers.failures import malformed
from processors.providers.prompts import Unaskable, completion_as_chat, given, given_object, output_bound, prompt_of
from processors.providers.shape import as_object, objects, text, vectors
from processors.providers.usage import count, usage_of
from schemas.calls import Billing, CallOrdered, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, ToolCall

_CHAT_ONLY = (".openai.com", ".deepseek.com")
_OURS = frozenset({"stream", "stream_options", "max_tokens", "max_completion_tokens"})
"""What passing parameters through may not change: how the reply comes, and the bound that its price was estimated with."""
_REASONING_MODELS = re.compile(r"o\d|gpt-(?:[5-9]|[1-9]\d)")
_REASONING_OR_TOOLS = re.compile(r"gpt-(?:5\.[6-9]|[6-9]|[1-9]\d)")
_WHILE_NOT_REASONING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_COMPLETION_MODELS = ("instruct", "davinci", "babbage")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an OpenAI-compatible server differs.

    `bound_field`: OpenAI's reasoning models refuse `max_tokens`, older compatible servers know nothing else. `chat_only`: the
    server's text completion endpoint is closed to its current models, so that a prompt becomes a chat. `reasons`: OpenAI's own
    reasoning models refuse sampling parameters while they reason, and function calls in chat while they do.
    """

    bound_field: str = "max_tokens"
    chat_only: bool = False
    reasons: bool = False


def dialect_of(address: str) -> Dialect:
    """The dialect spoken at an address.

    >>> dialect_of("https://api.openai.com/v1").bound_field, dialect_of("http://127.0.0.1:8000/v1").bound_field
    ('max_completion_tokens', 'max_tokens')
    """
    host = f".{urlsplit(address).hostname or ''}"
    openai = host.endswith((".openai.com", ".openai.azure.com"))
    return Dialect("max_completion_tokens" if openai else "max_tokens", chat_only=host.endswith(_CHAT_ONLY), reasons=openai)


def to_wire(call: ProviderCall, dialect: Dialect, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body. The request's extra parameters pass through; ours win. Raises Unaskable.

    The order's bound on output is always sent: the price of the call was bounded with it.
    """
    order, request = call.order, call.request
    if (
        order.operation is Operation.TEXT_COMPLETION
        and dialect.chat_only
        and not any(w in order.model for w in _COMPLETION_MODELS)
    ):
        order, request = replace(order, operation=Operation.CHAT), completion_as_chat(request)
    # Compatible servers know parameters that OpenAI does not, `top_k` among them.
    dropped = _OURS | foreign.ANTHROPICS if dialect.reasons else _OURS
    body = {k: v for k, v in given_object(request.extra_json, "extra_json").items() if k not in dropped}
    body["model"] = order.model
    if order.operation is Operation.EMBEDDINGS:
        if not request.input:
            raise Unaskable("embeddings need `input` texts")
        return "/embeddings", body | {"input": request.input, "encoding_format": "float"}
    body |= _sampling(request)
    if (bound := output_bound(order, request)) is not None:
        body[dialect.bound_field if order.operation is Operation.CHAT else "max_tokens"] = bound
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if order.operation is Operation.TEXT_COMPLETION:
        return "/completions", body | {"prompt": prompt_of(request)}
    body["messages"] = [message_to_wire(message) for message in request.messages]
    for field in ("tools", "tool_choice", "response_format"):
        if (value := given(getattr(request, f"{field}_json"), f"{field}_json")) is not None:
            body[field] = value
    if dialect.reasons:
        _suit_reasoning(body)
    return "/chat/completions", body


def _suit_reasoning(body: dict[str, Any]) -> None:
    """Leave out what the model would refuse with a 400: hints on sampling are worth less than an answer.

    https://developers.openai.com/api/docs/guides/latest-model: sampling parameters and functions want `reasoning_effort: none`.
    """
    if not _REASONING_MODELS.match(body["model"]):
        return
    if body.get("tools") and _REASONING_OR_TOOLS.match(body["model"]):
        body.setdefault("reasoning_effort", "none")
    if body.get("reasoning_effort") != "none":
        for name in _WHILE_NOT_REASONING:
            body.pop(name, None)


def _sampling(request: InferenceRequest) -> dict[str, Any]:
    s = request.sampling
    fields = {
        "temperature": s.temperature,
        "top_p": s.top_p,
        "stop": list(s.stop) or None,
        "seed": s.seed,
        "presence_penalty": s.presence_penalty,
        "frequency_penalty": s.frequency_penalty,
    }
    return {name: value for name, value in fields.items() if value is not None}


def message_to_wire(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role}
    if message.parts:
        leading = [{"type": "text", "text": message.content}] if message.content else []
        wire["content"] = leading + [_part(part) for part in message.parts]
    elif message.content is not None or not message.tool_calls:
        wire["content"] = message.content or ""
    if message.name is not None:
        wire["name"] = message.name
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments_json}}
            for c in message.tool_calls
        ]
    return wire


def _part(part: ContentPart) -> dict[str, Any]:
    if part.data_json is not None:
        return {"type": part.type} | given_object(part.data_json, "data_json")
    if part.type == "image_url":
        return {"type": "image_url", "image_url": {"url": part.image_url}}
    return {"type": part.type, "text": part.text or ""}


def from_wire(call: ProviderCall, reply: dict[str, Any], *, provider: str) -> Completion | Failed:
    """The Completion of a whole reply; Failed, with the usage that it tells, when the answer in it is not in a known shape."""
    order = call.order
    usage = usage_from(order, reply.get("usage"))
    try:
        output = _embeddings(call, reply) if order.operation is Operation.EMBEDDINGS else _answer(reply)
    except ProviderContractError as error:
        return Failed(malformed(provider, error, billing=Billing.UNKNOWN if usage is None else Billing.BILLED), usage)
    return Completion(output, usage)


def _answer(reply: dict[str, Any]) -> Output:
    choices = objects(reply.get("choices"), "choices")
    if not choices:
        raise ProviderContractError("there are no choices")
    choice = choices[0]
    # The text completion endpoint puts `text` where the chat endpoint puts a `message`.
    message = {"content": choice["text"]} if "text" in choice else as_object(choice.get("message"), "the message")
    return Output(
        content=content_of(message.get("content")),
        tool_calls=tuple(_tool_call(c) for c in objects(message.get("tool_calls"), "tool_calls")),
        finish_reason=finish_reason(choice.get("finish_reason")),
        reasoning=reasoning_of(message),
        refusal=text(message.get("refusal"), "refusal"),
        response_model=text(reply.get("model"), "model"),
        provider_response_id=text(reply.get("id"), "id"),
    )


def content_of(value: Any) -> str | None:
    """Text, or a list of parts as Mistral sends it."""
    if isinstance(value, list):
        return "".join(text(p.get("text"), "text") or "" for p in objects(value, "content") if p.get("type") == "text") or None
    return text(value, "content")


def reasoning_of(message: dict[str, Any]) -> str | None:
    """DeepSeek's `reasoning_content`, or `reasoning` as vLLM and OpenRouter call it."""
    value = message.get("reasoning_content") or message.get("reasoning")
    return value if isinstance(value, str) else None


def finish_reason(value: Any) -> str | None:
    word = text(value, "finish_reason")
    return "tool_calls" if word == "function_call" else word


def _tool_call(wire: dict[str, Any]) -> ToolCall:
    function = as_object(wire.get("function"), "the function of a tool call")
    name = text(function.get("name"), "the name of a tool call")
    if name is None:
        raise ProviderContractError("a tool call has no name")
    return ToolCall(text(wire.get("id"), "id") or "", name, text(function.get("arguments"), "arguments") or "")


def _embeddings(call: ProviderCall, reply: dict[str, Any]) -> Output:
    data = objects(reply.get("data"), "data")
    if all(type(item.get("index")) is int for item in data):
        data.sort(key=lambda item: int(item["index"]))
    return Output(
        embeddings=vectors([_floats(item.get("embedding")) for item in data], wanted=len(call.request.input)),
        response_model=text(reply.get("model"), "model"),
        finish_reason="stop",
    )


def _floats(value: Any) -> Any:
    """A vector; servers that only speak base64 send little-endian float32 text."""
    if not isinstance(value, str):
        return value
    try:
        raw = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    except (ValueError, struct.error) as error:
        raise ProviderContractError("an embedding is no base64 of floats") from error


def usage_from(order: CallOrdered, wire: Any) -> Usage | None:
    """OpenAI's prompt_tokens and completion_tokens include what was cached and what was thought."""
    if not isinstance(wire, dict):
        return None
    prompt_details = _object(wire.get("prompt_tokens_details"))
    completion_details = _object(wire.get("completion_tokens_details"))
    cached = count(prompt_details.get("cached_tokens"))
    if cached is None:
        cached = count(wire.get("prompt_cache_hit_tokens"))  # DeepSeek
    output = count(wire.get("completion_tokens"))
    if output is None and order.operation is Operation.EMBEDDINGS and count(wire.get("prompt_tokens")) is not None:
        output = 0
    return usage_of(
        order,
        input_tokens=count(wire.get("prompt_tokens")),
        output_tokens=output,
        cache_read=cached,
        cache_write=count(prompt_details.get("cache_write_tokens")),
        reasoning=count(completion_details.get("reasoning_tokens")),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
