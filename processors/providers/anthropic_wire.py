"""Anthropic's wire: a request as JSON, a reply as a Completion.

https://docs.anthropic.com/en/api/messages
"""

from typing import Any

import orjson

from processors.providers import foreign
from processors.providers.contract import Completion, Failed, ProviderCall
from processors.providers.failures import malformed
from processors.providers.prompts import (
    NotOffered,
    arguments_of,
    chosen_function,
    completion_as_chat,
    function_of,
    given,
    given_object,
    given_tools,
    image_of,
    json_schema_of,
    output_bound,
    text_of,
)
from processors.providers.shape import as_object, objects, text
from processors.providers.usage import count, usage_of
from schemas.calls import Billing, CallOrdered, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, ToolCall

MESSAGES = "/v1/messages"
_OURS = frozenset({"stream", "max_tokens", "model", "messages", "parallel_tool_calls"})
_REFUSED = frozenset({"temperature", "top_p", "top_k"})
"""Refused with a 400, whatever their value, since API version 2026-10-21, which the SDK speaks."""
_SYSTEM_ROLES = frozenset({"system", "developer"})
_DEFAULT_MAX_TOKENS = 4096
_CHOICES = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


def to_wire(call: ProviderCall, *, stream: bool) -> dict[str, Any]:
    """The body of POST /v1/messages. The request's extra parameters pass through; ours win. Raises Unaskable.

    `max_tokens` is always sent, for the API wants it and the price was bounded with it. The API has no word for temperature,
    top_p, seed and the penalties: they are left out, as hints that other candidates of the request may follow. `json_object` has
    none either: routing sends none here but to a deployment of which the operator says `json_mode: true`, and there it becomes
    a sentence of the system prompt.
    """
    request = call.request
    if call.order.operation is Operation.EMBEDDINGS:
        raise NotOffered("Anthropic has no embeddings; give the deployment no such operation")
    if call.order.operation is Operation.TEXT_COMPLETION:
        request = completion_as_chat(request)
    extra = given_object(request.extra_json, "extra_json")
    body = {k: v for k, v in extra.items() if k not in _OURS | _REFUSED | foreign.OPENAIS}
    body |= {"model": call.order.model, "max_tokens": output_bound(call.order, request) or _DEFAULT_MAX_TOKENS}
    if request.sampling.stop:
        body["stop_sequences"] = list(request.sampling.stop)
    if stream:
        body["stream"] = True
    system = [text_of(m) for m in request.messages if m.role in _SYSTEM_ROLES]
    _put_format(body, system, given_object(request.response_format_json, "response_format_json"))
    if system:
        body["system"] = "\n\n".join(system)
    body["messages"] = _turns(request)
    _put_tools(body, request, parallel=extra.get("parallel_tool_calls"))
    return body


def _put_format(body: dict[str, Any], system: list[str], wanted: dict[str, Any]) -> None:
    if (schema := json_schema_of(wanted)) is not None:
        body["output_config"] = body.get("output_config", {}) | {"format": {"type": "json_schema", "schema": schema}}
    elif wanted.get("type") == "json_object":
        system.append("Answer with one JSON object and nothing else.")


def _put_tools(body: dict[str, Any], request: InferenceRequest, *, parallel: Any) -> None:
    tools = [_tool(tool) for tool in given_tools(request)]
    if not tools:
        return
    body["tools"] = tools
    choice = given(request.tool_choice_json, "tool_choice_json")
    wire: dict[str, Any] | None = dict(_CHOICES[choice]) if isinstance(choice, str) and choice in _CHOICES else None
    if (name := chosen_function(choice)) is not None:
        wire = {"type": "tool", "name": name}
    elif isinstance(choice, dict) and wire is None:
        wire = choice
    if parallel is False and (wire is None or wire["type"] != "none"):
        wire = (wire or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    if wire is not None:
        body["tool_choice"] = wire


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool in OpenAI's shape, translated; one in Anthropic's own passes through."""
    function = function_of(tool)
    if function is None:
        return tool
    wire = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object", "properties": {}}}
    if function.get("description"):
        wire["description"] = function["description"]
    if function.get("strict") is not None:
        wire["strict"] = function["strict"]
    return wire


def _turns(request: InferenceRequest) -> list[dict[str, Any]]:
    """User and assistant turns, in turns: the results of parallel tool calls must stand in one user turn."""
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role in _SYSTEM_ROLES:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id or "", "content": text_of(message)}]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.content}] if message.content else []
    blocks += [_block(part) for part in message.parts]
    blocks += [
        {"type": "tool_use", "id": c.id, "name": c.name, "input": arguments_of(c.arguments_json)} for c in message.tool_calls
    ]
    return blocks


def _block(part: ContentPart) -> dict[str, Any]:
    if part.data_json is not None:
        return {"type": part.type} | given_object(part.data_json, "data_json")
    if part.type != "image_url":
        return {"type": part.type, "text": part.text or ""}
    image = image_of(part)
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": image.base64}}


def from_wire(call: ProviderCall, reply: dict[str, Any], *, provider: str) -> Completion | Failed:
    """The Completion of a whole reply; Failed, with the usage that it tells, when the answer in it is not in a known shape."""
    usage = usage_from(call.order, reply.get("usage"))
    try:
        output = _answer(reply)
    except ProviderContractError as error:
        return Failed(malformed(provider, error, billing=Billing.UNKNOWN if usage is None else Billing.BILLED), usage)
    return Completion(output, usage)


def _answer(reply: dict[str, Any]) -> Output:
    if reply.get("type") != "message" or not isinstance(reply.get("content"), list):
        raise ProviderContractError("it is no message")
    blocks = objects(reply["content"], "content")
    return Output(
        content="".join(text(b.get("text"), "text") or "" for b in blocks if b.get("type") == "text") or None,
        tool_calls=tuple(_tool_call(b) for b in blocks if b.get("type") == "tool_use"),
        finish_reason=finish_reason(reply.get("stop_reason")),
        reasoning="".join(text(b.get("thinking"), "thinking") or "" for b in blocks if b.get("type") == "thinking") or None,
        response_model=text(reply.get("model"), "model"),
        provider_response_id=text(reply.get("id"), "id"),
    )


def finish_reason(value: Any) -> str | None:
    """Our word for a stop reason; one that we do not know stays as it is."""
    word = text(value, "stop_reason")
    return None if word is None else _FINISH.get(word, word)


def _tool_call(block: dict[str, Any]) -> ToolCall:
    name = text(block.get("name"), "the name of a tool call")
    if name is None:
        raise ProviderContractError("a tool call has no name")
    arguments = orjson.dumps(as_object(block.get("input") or {}, "the input of a tool call"))
    return ToolCall(text(block.get("id"), "id") or "", name, arguments.decode())


def usage_from(order: CallOrdered, wire: Any) -> Usage | None:
    """Anthropic's input_tokens leave out what was read from and written to the cache; ours include it.

    A count that cannot be is passed on as it is, to be clamped as a whole.
    """
    if not isinstance(wire, dict):
        return None
    plain, read, write = (count(wire.get(k)) for k in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
    told = [n for n in (plain, read, write) if n is not None]
    absurd = next((n for n in told if n < 0), None)
    details = wire.get("output_tokens_details")
    return usage_of(
        order,
        input_tokens=None if plain is None else absurd if absurd is not None else sum(told),
        output_tokens=count(wire.get("output_tokens")),
        cache_read=read,
        cache_write=write,
        reasoning=count(details.get("thinking_tokens")) if isinstance(details, dict) else None,
    )
