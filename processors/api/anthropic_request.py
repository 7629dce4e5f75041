"""Anthropic's requests as ours: the body of `POST /v1/messages` and of `POST /v1/messages/count_tokens`.

What every provider has a word for is translated, so that any of them can answer. What Anthropic alone knows (documents, thinking
with its signature, server tools, `thinking`, `top_k`) passes through as it is.

Source of the shapes: Anthropic's API reference, "Messages"; `anthropic.types.MessageCreateParams` of its SDK.
"""

from collections.abc import Mapping
from typing import Any

from processors.api import fields
from processors.api.anthropic_content import messages_of, system_of
from processors.api.bad_request import BadRequest
from schemas.requests import InferenceRequest, Operation, Sampling

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_TOOL_WORDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


def from_anthropic(body: Mapping[str, Any], *, request_id: str, tenant: str, counting: bool = False) -> InferenceRequest:
    """The request of a body; `counting` does without `max_tokens`. Raises BadRequest.

    >>> body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    >>> from_anthropic(body, request_id="r", tenant="t").sampling.max_output_tokens
    5
    """
    rest = dict(body)
    if rest.get("max_tokens") is None and not counting:
        raise BadRequest("max_tokens: Field required", "max_tokens")
    messages = fields.objects(rest.pop("messages", None), "messages")
    if not messages:
        raise BadRequest("`messages` must be a list with at least one message", "messages")
    tools, choice, parallel = _tools(rest)
    about = fields.an_object(rest.pop("metadata", None), "metadata")
    return InferenceRequest(
        request_id=request_id,
        tenant=tenant,
        model=fields.text(rest.pop("model", None), "model"),
        user=fields.text(about.get("user_id"), "metadata.user_id", optional=True),
        operation=Operation.CHAT,
        messages=(*system_of(rest.pop("system", None)), *messages_of(messages)),
        sampling=_sampling(rest),
        tools_json=fields.compact(tools) if tools else None,
        tool_choice_json=None if choice is None else fields.compact(choice),
        response_format_json=_format(rest),
        stream=fields.flag(rest.pop("stream", None), "stream"),
        extra_json=_extra(rest, parallel=parallel, marked=_marked((body.get("system"), body.get("tools"), messages))),
    )


def _sampling(rest: dict[str, Any]) -> Sampling:
    stops = rest.pop("stop_sequences", None)
    return Sampling(
        temperature=fields.number(rest.pop("temperature", None), "temperature"),
        top_p=fields.number(rest.pop("top_p", None), "top_p"),
        max_output_tokens=fields.whole(rest.pop("max_tokens", None), "max_tokens"),
        stop=fields.texts(stops, "stop_sequences") if stops else (),
    )


def _tools(rest: dict[str, Any]) -> tuple[list[dict[str, Any]], Any, bool]:
    """The tools and the choice among them in OpenAI's shape, and whether several may be called at once."""
    tools = [_tool(each) for each in fields.objects(rest.pop("tools", None), "tools")]
    choice = fields.an_object(rest.pop("tool_choice", None), "tool_choice")
    parallel = not fields.flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    if not choice:
        return tools, None, parallel
    kind = str(choice.get("type"))
    if kind == "tool":
        name = fields.text(choice.get("name"), "tool_choice.name")
        return tools, {"type": "function", "function": {"name": name}}, parallel
    if kind not in _CHOICES:
        raise BadRequest("`tool_choice.type` must be auto, any, tool or none", "tool_choice")
    return tools, _CHOICES[kind], parallel


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A client's tool as a function; one of Anthropic's own, or with words that only Anthropic has, as it is."""
    name = fields.text(tool.get("name"), "tools: `name`")
    if tool.get("type") not in (None, "custom") or not set(tool) <= _TOOL_WORDS:
        return tool
    schema = fields.an_object(tool.get("input_schema"), "tools: `input_schema`")
    if not schema:
        raise BadRequest("tools: `input_schema`: Field required", "tools")
    optional = {word: tool[word] for word in ("description", "strict") if tool.get(word) is not None}
    return {"type": "function", "function": {"name": name, "parameters": schema, **optional}}


def _format(rest: dict[str, Any]) -> str | None:
    """The JSON schema of `output_config.format`; what else stands in `output_config` is left there."""
    config = dict(fields.an_object(rest.pop("output_config", None), "output_config"))
    wanted = fields.an_object(config.pop("format", None), "output_config.format")
    if config:
        rest["output_config"] = config
    if not wanted:
        return None
    schema = wanted.get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise BadRequest("`output_config.format` must be of type json_schema, with a `schema`", "output_config")
    return fields.compact({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}})


def _marked(value: Any) -> dict[str, Any] | None:
    """The last `cache_control` among blocks, wherever they stand."""
    layer = [value]
    while layer:
        each = layer.pop()
        if isinstance(each, list | tuple):
            layer += each
        elif isinstance(each, dict):
            if isinstance(control := each.get("cache_control"), dict):
                return control
            layer.append(each.get("content"))
    return None


def _extra(rest: dict[str, Any], *, parallel: bool, marked: dict[str, Any] | None) -> str | None:
    """What has no field of its own.

    Marks on single blocks become one for the whole request, with which Anthropic finds the place by itself: our messages have
    none for them.
    """
    extra = {name: value for name, value in rest.items() if value is not None}
    if marked is not None:
        extra.setdefault("cache_control", marked)
    if not parallel:
        extra["parallel_tool_calls"] = False
    return fields.compact(extra) if extra else None
