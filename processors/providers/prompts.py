"""Reading the parts of a request that adapters translate. What cannot be asked is Unaskable, before anything is sent."""

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import Any

import orjson

from schemas.calls import CallOrdered
from schemas.requests import ContentPart, InferenceRequest, Message, Operation

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,", re.IGNORECASE)


class Unaskable(Exception):
    """The request cannot be put to this provider. The message says why, without quoting it."""


class NotOffered(Unaskable):
    """The provider has no such thing; another may."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image by address, or by value: base64 text and its media type."""

    url: str | None = None
    media_type: str | None = None
    base64: str | None = None


def given(text: str | None, field: str) -> Any:
    """A JSON field of the request, None when it is not there. Raises Unaskable.

    >>> given('{"a": 1}', "extra_json")
    {'a': 1}
    """
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unaskable(f"`{field}` is no JSON") from error


def given_object(text: str | None, field: str) -> dict[str, Any]:
    """A JSON object of the request, empty when it is not there. Raises Unaskable."""
    value = given(text, field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unaskable(f"`{field}` is no JSON object")
    return value


def given_tools(request: InferenceRequest) -> list[dict[str, Any]]:
    """The tools, in whatever shape each has. Raises Unaskable."""
    tools = given(request.tools_json, "tools_json")
    if tools is None:
        return []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise Unaskable("`tools_json` is no JSON array of objects")
    return tools


def function_of(tool: dict[str, Any]) -> dict[str, Any] | None:
    """The function of a tool in OpenAI's shape; None for a tool in another shape."""
    function = tool.get("function")
    return (
        function
        if tool.get("type") == "function" and isinstance(function, dict) and isinstance(function.get("name"), str)
        else None
    )


def chosen_function(choice: Any) -> str | None:
    """The name in a tool choice `{"type": "function", "function": {"name": …}}`."""
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def json_schema_of(response_format: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of a response format `{"type": "json_schema", "json_schema": {"schema": …}}`."""
    inner = response_format.get("json_schema")
    schema = inner.get("schema") if response_format.get("type") == "json_schema" and isinstance(inner, dict) else None
    return schema if isinstance(schema, dict) else None


def prompt_of(request: InferenceRequest) -> str:
    """The texts of the request as one prompt, a blank line between them. Raises Unaskable when there are none."""
    if not request.input:
        raise Unaskable("the request has no `input` text")
    return "\n\n".join(request.input)


def completion_as_chat(request: InferenceRequest) -> InferenceRequest:
    """A text completion as the chat that providers without a completion endpoint take."""
    return replace(request, operation=Operation.CHAT, messages=(*request.messages, Message("user", prompt_of(request))), input=())


def output_bound(order: CallOrdered, request: InferenceRequest) -> int | None:
    """Most output tokens to ask for; None when neither the order nor the request bounds them."""
    bounds = [n for n in (request.sampling.max_output_tokens, order.output_tokens_bound) if n]
    return min(bounds) if bounds else None


def arguments_of(arguments_json: str) -> dict[str, Any]:
    """The arguments of an earlier tool call, for providers that take them as an object. Raises Unaskable."""
    return given_object(arguments_json or None, "arguments_json")


def image_of(part: ContentPart) -> Image:
    """Raises Unaskable when the address is no http(s) or base64 data URL."""
    url = part.image_url or ""
    if url.startswith(("https://", "http://")):
        return Image(url=url)
    match = _DATA_URL.match(url)
    if match is None:
        raise Unaskable("an image is neither an http(s) nor a base64 data URL")
    encoded = url[match.end() :]
    try:
        base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Unaskable("the data URL of an image is no base64") from error
    return Image(media_type=match[1].lower(), base64=encoded)


def text_of(message: Message) -> str:
    """All text of a message. Raises Unaskable when it has parts that are no text."""
    if any(part.type != "text" for part in message.parts):
        raise Unaskable(f"a message of role {message.role!r} can only hold text here")
    return "\n".join(t for t in (message.content, *(part.text for part in message.parts)) if t)


def has_function_calls(message: Message) -> bool:
    return message.role == "assistant" and bool(message.tool_calls)
