"""Ollama's wire: a request as JSON, a reply as a Completion.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from collections.abc import Mapping
from typing import Any

import orjson

from processors.providers.contract import Completion, Failed, ProviderCall
from processors.providers.failures import malformed, refusal
from processors.providers.prompts import (
    NotOffered,
    Unaskable,
    arguments_of,
    given_object,
    given_tools,
    image_of,
    json_schema_of,
    output_bound,
    prompt_of,
)
from processors.providers.shape import as_object, objects, text, vectors
from processors.providers.usage import count, usage_of
from schemas.calls import Billing, CallOrdered, Failure, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import InferenceRequest, Message, Operation, ToolCall


def to_wire(call: ProviderCall, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body. The request's extra parameters pass through (`keep_alive`, `think`, `options`); ours win. Raises Unaskable.

    Ollama has no tool choice: `none` leaves the tools out, the others leave the choice to the model.
    """
    order, request = call.order, call.request
    body = given_object(request.extra_json, "extra_json") | {"model": order.model}
    if order.operation is Operation.EMBEDDINGS:
        if not request.input:
            raise Unaskable("embeddings need `input` texts")
        return "/api/embed", body | {"input": request.input}
    options = body.get("options")
    body["options"] = (options if isinstance(options, dict) else {}) | _options(call)
    body["stream"] = stream
    wanted = given_object(request.response_format_json, "response_format_json")
    if (schema := json_schema_of(wanted)) is not None:
        body["format"] = schema
    elif wanted.get("type") == "json_object":
        body["format"] = "json"
    if order.operation is Operation.TEXT_COMPLETION:
        return "/api/generate", body | {"prompt": prompt_of(request)}
    body["messages"] = _messages(request)
    if (tools := given_tools(request)) and request.tool_choice_json != '"none"':
        body["tools"] = tools
    return "/api/chat", body


def _options(call: ProviderCall) -> dict[str, Any]:
    sampling = call.request.sampling
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "num_predict": output_bound(call.order, call.request),
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    return {name: value for name, value in options.items() if value is not None}


def _messages(request: InferenceRequest) -> list[dict[str, Any]]:
    names = {c.id: c.name for message in request.messages for c in message.tool_calls}
    return [_message(message, names) for message in request.messages]


def _message(message: Message, names: dict[str, str]) -> dict[str, Any]:
    """Text and images of a message stand in two fields. Raises Unaskable for an image by address: Ollama fetches none."""
    said = [message.content] if message.content else []
    images = []
    for part in message.parts:
        if part.type == "image_url":
            image = image_of(part)
            if image.base64 is None:
                raise NotOffered("Ollama takes images by value only: send a base64 data URL")
            images.append(image.base64)
        elif part.type == "text":
            said.append(part.text or "")
        else:
            raise NotOffered(f"Ollama has no message part {part.type!r}")
    wire: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role, "content": "\n".join(said)}
    if images:
        wire["images"] = images
    if message.tool_calls:
        wire["tool_calls"] = [
            {"function": {"name": c.name, "arguments": arguments_of(c.arguments_json)}} for c in message.tool_calls
        ]
    if message.role == "tool" and (name := message.name or names.get(message.tool_call_id or "")):
        wire["tool_name"] = name
    return wire


def from_wire(call: ProviderCall, reply: dict[str, Any], *, provider: str) -> Completion | Failed:
    """The Completion of a whole reply; Failed, with the usage that it tells, when the answer in it is not in a known shape."""
    usage = usage_from(call.order, reply)
    try:
        output = _embeddings(call, reply) if call.order.operation is Operation.EMBEDDINGS else _answer(reply)
    except ProviderContractError as error:
        return Failed(malformed(provider, error, billing=Billing.UNKNOWN if usage is None else Billing.BILLED), usage)
    return Completion(output, usage)


def _answer(reply: dict[str, Any]) -> Output:
    if reply.get("done") is not True:
        raise ProviderContractError("the answer is not done")
    return piece_of(reply)


def piece_of(reply: dict[str, Any]) -> Output:
    """What a reply, or one line of a stream, says."""
    if "message" in reply:
        message = as_object(reply["message"], "the message")
    elif "response" in reply:
        message = {"content": reply["response"], "thinking": reply.get("thinking")}
    else:
        raise ProviderContractError("it holds no message")
    calls = tuple(_tool_call(c, i) for i, c in enumerate(objects(message.get("tool_calls"), "tool_calls")))
    return Output(
        content=text(message.get("content"), "content"),
        tool_calls=calls,
        finish_reason=finish_reason(reply, called=bool(calls)),
        reasoning=text(message.get("thinking"), "thinking"),
        response_model=text(reply.get("model"), "model"),
    )


def finish_reason(reply: dict[str, Any], *, called: bool) -> str | None:
    if reply.get("done") is not True:
        return None
    return "tool_calls" if called else text(reply.get("done_reason"), "done_reason") or "stop"


def _tool_call(wire: dict[str, Any], index: int) -> ToolCall:
    """Older servers give no id; the position then names the call."""
    function = as_object(wire.get("function"), "the function of a tool call")
    name = text(function.get("name"), "the name of a tool call")
    if name is None:
        raise ProviderContractError("a tool call has no name")
    arguments = orjson.dumps(as_object(function.get("arguments") or {}, "the arguments of a tool call"))
    return ToolCall(text(wire.get("id"), "id") or f"call_{index}", name, arguments.decode())


def _embeddings(call: ProviderCall, reply: dict[str, Any]) -> Output:
    found = reply.get("embeddings")
    if not isinstance(found, list):
        raise ProviderContractError("there are no embeddings")
    return Output(
        embeddings=vectors(found, wanted=len(call.request.input)),
        response_model=text(reply.get("model"), "model"),
        finish_reason="stop",
    )


def usage_from(order: CallOrdered, reply: dict[str, Any]) -> Usage | None:
    """A prompt that Ollama still had in its cache has no prompt_eval_count in older versions: its input is estimated."""
    output = count(reply.get("eval_count"))
    given_input = count(reply.get("prompt_eval_count"))
    if output is None and order.operation is Operation.EMBEDDINGS and given_input is not None:
        output = 0
    return usage_of(order, input_tokens=given_input, output_tokens=output)


def refusal_in(provider: str, reply: Any, status: int, headers: Mapping[str, str]) -> Failure:
    """The Failure of `{"error": "…"}`: Ollama has no codes, and what it says is prose."""
    prose = reply.get("error") if isinstance(reply, dict) else None
    return refusal(provider, status, headers, prose=prose if isinstance(prose, str) else "")
