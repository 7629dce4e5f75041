"""Google's Gemini wire: a request as JSON, a reply as a Completion.

https://ai.google.dev/api/generate-content and https://ai.google.dev/api/embeddings
"""

import re
from typing import Any

import orjson

from processors.providers import foreign
from processors.providers.contract import Completion, Failed, ProviderCall
from processors.providers.failures import malformed
from processors.providers.prompts import (
    Unaskable,
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
from processors.providers.shape import as_object, objects, text, vectors
from processors.providers.usage import count, usage_of
from schemas.calls import Billing, CallOrdered, Output, Usage
from schemas.errors import ProviderContractError
from schemas.requests import ContentPart, InferenceRequest, Message, Operation, ToolCall

_SYSTEM_ROLES = frozenset({"system", "developer"})
_SIGNING_MODELS = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")
_NO_SIGNATURE = "skip_thought_signature_validator"
"""What Gemini 3 and later take in place of the signature of an earlier function call, which our records do not carry; without it
they answer 400. https://ai.google.dev/gemini-api/docs/thought-signatures
"""
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
}


def to_wire(call: ProviderCall, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path below the address, and body. The request's extra parameters pass through; ours win. Raises Unaskable."""
    request = call.request
    model = call.order.model.removeprefix("models/")
    if call.order.operation is Operation.EMBEDDINGS:
        return f"/models/{model}:batchEmbedContents", {"requests": _embedding_requests(request, model)}
    if call.order.operation is Operation.TEXT_COMPLETION:
        request = completion_as_chat(request)
    extra = given_object(request.extra_json, "extra_json")
    body = {k: v for k, v in extra.items() if k not in foreign.OPENAIS | foreign.ANTHROPICS | {"parallel_tool_calls"}}
    system = [text_of(m) for m in request.messages if m.role in _SYSTEM_ROLES]
    if system:
        body["systemInstruction"] = {"parts": [{"text": part} for part in system]}
    body["contents"] = _contents(request)
    if _SIGNING_MODELS.match(model):
        _sign(body["contents"])
    config = body.get("generationConfig")
    body["generationConfig"] = (config if isinstance(config, dict) else {}) | _generation_config(call, request)
    _put_tools(body, request)
    return f"/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"), body


def _generation_config(call: ProviderCall, request: InferenceRequest) -> dict[str, Any]:
    sampling = request.sampling
    config: dict[str, Any] = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "maxOutputTokens": output_bound(call.order, request),
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
    }
    wanted = given_object(request.response_format_json, "response_format_json")
    if wanted.get("type") in ("json_object", "json_schema"):
        config |= {"responseMimeType": "application/json", "responseJsonSchema": json_schema_of(wanted)}
    return {name: value for name, value in config.items() if value is not None}


def _put_tools(body: dict[str, Any], request: InferenceRequest) -> None:
    """Functions as declarations; a tool in Google's own shape passes through."""
    tools = given_tools(request)
    functions = [f for f in map(function_of, tools) if f is not None]
    wire = [tool for tool in tools if function_of(tool) is None]
    if functions:
        wire.append({"functionDeclarations": [_declaration(f) for f in functions]})
    if wire:
        body["tools"] = wire
    choice = given(request.tool_choice_json, "tool_choice_json")
    if (name := chosen_function(choice)) is not None:
        body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [name]}}
    elif isinstance(choice, str) and choice in _MODES and functions:
        body["toolConfig"] = {"functionCallingConfig": {"mode": _MODES[choice]}}


def _declaration(function: dict[str, Any]) -> dict[str, Any]:
    wire = {"name": function["name"], "description": function.get("description") or ""}
    if function.get("parameters"):
        wire["parametersJsonSchema"] = function["parameters"]
    return wire


def _contents(request: InferenceRequest) -> list[dict[str, Any]]:
    """User and model turns, in turns. A tool's result goes back under the name of the function that was called."""
    names = {c.id: c.name for message in request.messages for c in message.tool_calls}
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role in _SYSTEM_ROLES:
            continue
        role = "model" if message.role == "assistant" else "user"
        parts = [_result(message, names)] if message.role == "tool" else _parts(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["parts"] += parts
        elif parts:
            turns.append({"role": role, "parts": parts})
    return turns


def _parts(message: Message) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": message.content}] if message.content else []
    parts += [_part(part) for part in message.parts]
    parts += [{"functionCall": {"id": c.id, "name": c.name, "args": arguments_of(c.arguments_json)}} for c in message.tool_calls]
    return parts


def _sign(turns: list[dict[str, Any]]) -> None:
    """Put the placeholder on the first function call of each turn, where Gemini puts the signature."""
    for turn in turns:
        if (first := next((part for part in turn["parts"] if "functionCall" in part), None)) is not None:
            first["thoughtSignature"] = _NO_SIGNATURE


def _result(message: Message, names: dict[str, str]) -> dict[str, Any]:
    call_id = message.tool_call_id or ""
    name = message.name or names.get(call_id)
    if name is None:
        raise Unaskable("a tool message answers no tool call of the conversation")
    said = text_of(message)
    try:
        value = orjson.loads(said)
    except orjson.JSONDecodeError:
        value = said
    response = value if isinstance(value, dict) else {"result": value}
    return {"functionResponse": {"id": call_id, "name": name, "response": response}}


def _part(part: ContentPart) -> dict[str, Any]:
    if part.data_json is not None:
        return given_object(part.data_json, "data_json")
    if part.type != "image_url":
        return {"text": part.text or ""}
    image = image_of(part)
    if image.url is not None:
        return {"fileData": {"fileUri": image.url}}
    return {"inlineData": {"mimeType": image.media_type, "data": image.base64}}


def _embedding_requests(request: InferenceRequest, model: str) -> list[dict[str, Any]]:
    if not request.input:
        raise Unaskable("embeddings need `input` texts")
    extra = given_object(request.extra_json, "extra_json")
    if (dimensions := extra.pop("dimensions", None)) is not None:
        extra["outputDimensionality"] = dimensions
    return [extra | {"model": f"models/{model}", "content": {"parts": [{"text": t}]}} for t in request.input]


def from_wire(call: ProviderCall, reply: dict[str, Any], *, provider: str) -> Completion | Failed:
    """The Completion of a whole reply; Failed, with the usage that it tells, when the answer in it is not in a known shape."""
    usage = usage_from(call.order, reply.get("usageMetadata"))
    try:
        output = _embeddings(call, reply) if call.order.operation is Operation.EMBEDDINGS else answer_of(reply)
    except ProviderContractError as error:
        return Failed(malformed(provider, error, billing=Billing.UNKNOWN if usage is None else Billing.BILLED), usage)
    return Completion(output, usage)


def answer_of(reply: dict[str, Any]) -> Output:
    """The answer of a whole reply, or what one event of a stream adds to it. A blocked prompt is an answer too, an empty one."""
    candidates = objects(reply.get("candidates"), "candidates")
    blocked = reply.get("promptFeedback")
    reason = text(blocked.get("blockReason"), "blockReason") if isinstance(blocked, dict) else None
    if not candidates and reason is None:
        raise ProviderContractError("there are no candidates")
    candidate = candidates[0] if candidates else {"finishReason": "PROHIBITED_CONTENT"}
    parts = objects(as_object(candidate.get("content") or {}, "the content").get("parts"), "parts")
    spoken = [p for p in parts if "text" in p]
    calls = tuple(_tool_call(p["functionCall"], i) for i, p in enumerate(p for p in parts if "functionCall" in p))
    return Output(
        content="".join(text(p["text"], "text") or "" for p in spoken if not p.get("thought")) or None,
        tool_calls=calls,
        finish_reason=finish_reason(candidate.get("finishReason"), called=bool(calls)),
        reasoning="".join(text(p["text"], "text") or "" for p in spoken if p.get("thought")) or None,
        refusal=None if candidates else f"the prompt was blocked: {reason}",
        response_model=text(reply.get("modelVersion"), "modelVersion"),
        provider_response_id=text(reply.get("responseId"), "responseId"),
    )


def finish_reason(value: Any, *, called: bool) -> str | None:
    """Our word for a finish reason; one that we do not know stays, in small letters. Gemini ends a tool call with STOP."""
    word = text(value, "finishReason")
    if word is None:
        return None
    return "tool_calls" if called and word == "STOP" else _FINISH.get(word, word.lower())


def _tool_call(wire: Any, index: int) -> ToolCall:
    """Gemini mostly gives no id; the position then names the call."""
    call = as_object(wire, "a function call")
    name = text(call.get("name"), "the name of a function call")
    if name is None:
        raise ProviderContractError("a function call has no name")
    arguments = orjson.dumps(as_object(call.get("args") or {}, "the arguments of a function call"))
    return ToolCall(text(call.get("id"), "id") or f"call_{index}", name, arguments.decode())


def _embeddings(call: ProviderCall, reply: dict[str, Any]) -> Output:
    found = [e.get("values") for e in objects(reply.get("embeddings"), "embeddings")]
    return Output(embeddings=vectors(found, wanted=len(call.request.input)), finish_reason="stop")


def usage_from(order: CallOrdered, wire: Any) -> Usage | None:
    """Gemini counts thoughts beside the answer and tool prompts beside the prompt; ours include them.

    Protobuf's JSON leaves zeros out, so beside a prompt count a missing output count is a zero.
    """
    if not isinstance(wire, dict):
        return None
    prompt, tools, output, thoughts = (
        count(wire.get(k)) for k in ("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    )
    if prompt is None and output is None:
        return None
    return usage_of(
        order,
        input_tokens=None if prompt is None else prompt + (tools or 0),
        output_tokens=(output or 0) + (thoughts or 0),
        cache_read=count(wire.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )
