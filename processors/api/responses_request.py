"""OpenAI's `POST /v1/responses` as ours: text and function tools.

Nothing is kept between requests, so what points at an earlier response is refused, with a word on what to send instead.

Source of the shapes: OpenAI's API reference, "Responses"; `openai.types.responses.ResponseCreateParams` of its SDK.
"""

from collections.abc import Mapping
from typing import Any

from processors.api import fields
from processors.api.bad_request import BadRequest
from processors.api.responses_input import messages_of
from schemas.requests import InferenceRequest, Message, Operation, Sampling

_KEPT = {
    "previous_response_id": "responses are not kept: send the earlier items in `input`",
    "conversation": "conversations are not kept: send the earlier items in `input`",
    "prompt": "prompt templates are not kept: send `instructions` and `input`",
    "background": "a response is not kept to be asked for later: leave `background` out",
}
_IGNORED = frozenset({"store", "include", "truncation", "stream_options", "max_tool_calls", "moderation", "client_metadata"})
"""What changes nothing in an answer of text and function calls that is not kept."""
_PASSED = frozenset({"parallel_tool_calls", "service_tier", "prompt_cache_key", "prompt_cache_retention", "top_logprobs"})
_CHOICES = frozenset({"auto", "none", "required"})


def from_responses(body: Mapping[str, Any], *, request_id: str, tenant: str) -> InferenceRequest:
    """The request of a body. Raises BadRequest.

    >>> body = {"model": "m", "instructions": "Be brief.", "input": "Hi"}
    >>> [(m.role, m.content) for m in from_responses(body, request_id="r", tenant="t").messages]
    [('system', 'Be brief.'), ('user', 'Hi')]
    """
    rest = {name: value for name, value in body.items() if value is not None and name not in _IGNORED}
    for name, message in _KEPT.items():
        if rest.pop(name, None) not in (None, False):
            raise BadRequest(message, name)
    text = fields.an_object(rest.pop("text", None), "text")
    tools = [_tool(tool) for tool in fields.objects(rest.pop("tools", None), "tools")]
    choice = _choice(rest.pop("tool_choice", None))
    wanted = _format(fields.an_object(text.get("format"), "text.format"))
    instructions = fields.text(rest.pop("instructions", None) or None, "instructions", optional=True)
    identifier = rest.pop("safety_identifier", None)
    request = InferenceRequest(
        request_id=request_id,
        tenant=tenant,
        model=fields.text(rest.pop("model", None), "model"),
        user=fields.text(rest.pop("user", identifier), "user", optional=True),
        operation=Operation.CHAT,
        messages=(*([Message("system", instructions)] if instructions else []), *messages_of(rest.pop("input", None))),
        sampling=Sampling(
            temperature=fields.number(rest.pop("temperature", None), "temperature"),
            top_p=fields.number(rest.pop("top_p", None), "top_p"),
            max_output_tokens=fields.whole(rest.pop("max_output_tokens", None), "max_output_tokens"),
        ),
        tools_json=fields.compact(tools) if tools else None,
        tool_choice_json=None if choice is None or not tools else fields.compact(choice),
        response_format_json=wanted,
        stream=fields.flag(rest.pop("stream", None), "stream"),
        metadata=fields.metadata(rest.pop("metadata", None)),
        extra_json=_extra(rest, text),
    )
    if rest:
        name = min(rest)
        raise BadRequest(f"`{name[:60]}` is not supported here; text and function tools are", name[:60])
    return request


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise BadRequest(f"tools: only those of type function are supported, not {str(tool.get('type'))[:40]!r}", "tools")
    given = {word: tool[word] for word in ("description", "parameters", "strict") if tool.get(word) is not None}
    return {"type": "function", "function": {"name": fields.text(tool.get("name"), "tools: `name`"), **given}}


def _choice(choice: Any) -> Any:
    if choice is None or (isinstance(choice, str) and choice in _CHOICES):
        return choice
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": fields.text(choice.get("name"), "tool_choice.name")}}
    raise BadRequest("`tool_choice` must be auto, none, required or a function", "tool_choice")


def _format(wanted: dict[str, Any]) -> str | None:
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return fields.compact({"type": "json_object"})
    if kind != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise BadRequest("`text.format` must be of type text, json_object, or json_schema with a `schema`", "text.format")
    given = {word: wanted[word] for word in ("name", "schema", "strict", "description") if wanted.get(word) is not None}
    return fields.compact({"type": "json_schema", "json_schema": {"name": "answer", **given}})


def _extra(rest: dict[str, Any], text: dict[str, Any]) -> str | None:
    """What a chat has other words for, or the same; taken from `rest`."""
    extra = {name: rest.pop(name) for name in sorted(_PASSED & rest.keys())}
    reasoning = fields.an_object(rest.pop("reasoning", None), "reasoning")
    if reasoning.get("effort") is not None:
        extra["reasoning_effort"] = reasoning["effort"]
    if text.get("verbosity") is not None:
        extra["verbosity"] = text["verbosity"]
    return fields.compact(extra) if extra else None
