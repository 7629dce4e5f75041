"""A request as every shape means it, and the reading that the shapes share."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from streams.simulator.sizes import NATURAL, Sizes
from streams.simulator.tokens import TOKENS_PER_IMAGE, TOKENS_PER_MESSAGE, count


class BadRequest(Exception):
    """The request is not what the provider's API takes: status 400, with this message."""


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Any


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the model.

    `input_tokens` is counted from the text. `tool` is the tool that the answer calls. `json_schema` is the schema that the
    answer fits, `{}` for any object, None for prose. `labels` are those to choose one of. `inputs` are the texts to embed.
    `metadata` may ask for sizes.
    """

    model: str
    input_tokens: int
    last_user_text: str = ""
    stream: bool = False
    include_usage: bool = True
    max_output_tokens: int | None = None
    tool: Tool | None = None
    json_schema: Any = None
    inputs: tuple[str, ...] = ()
    dimensions: int | None = None
    base64: bool = False
    metadata: object = None
    labels: tuple[str, ...] = ()
    sizes: Sizes = NATURAL
    seed: int = 0


_NOT_IN_SEED = frozenset({"stream", "stream_options"})


def seed_of(provider: str, model: str | None, body: Mapping[str, Any]) -> int:
    """A number from the SHA-256 of the canonical request: the order of its fields and whether it streams do not count.

    >>> seed_of("openai", None, {"a": 1, "b": 2}) == seed_of("openai", None, {"b": 2, "stream": True, "a": 1})
    True
    """
    counted = {name: value for name, value in body.items() if name not in _NOT_IN_SEED}
    text = orjson.dumps(counted, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(b"%b\0%b\0%b" % (provider.encode(), (model or "").encode(), text)).digest()
    return int.from_bytes(digest[:8], "little")


def required(body: Mapping[str, Any], name: str, kind: type, what: str) -> Any:
    """The field, of the right type. Raises BadRequest."""
    value = body.get(name)
    if not isinstance(value, kind):
        raise BadRequest(f"'{name}' must be {what}")
    return value


def whole_number(body: Mapping[str, Any], *names: str) -> int | None:
    """The first of these fields that is there. Raises BadRequest when it is no positive whole number."""
    for name in names:
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BadRequest(f"'{name}' must be a whole number of at least 1")
        return value
    return None


def content_text(content: object) -> tuple[str, int]:
    """The text of a message's content, whatever the shape, and the tokens of what is not text."""
    if isinstance(content, str):
        return content, 0
    if not isinstance(content, list):
        return "", 0
    texts, extra = [], 0
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            if isinstance(text := part.get("text"), str):
                texts.append(text)
            elif "inlineData" in part or "inline_data" in part or part.get("type") in {"image", "image_url"}:
                extra += TOKENS_PER_IMAGE
            else:
                extra += count(orjson.dumps(part).decode())
    return "\n".join(texts), extra


def conversation(messages: Iterable[object], *, content: str = "content") -> tuple[int, str, bool]:
    """Input tokens, the last user message's text, and whether that message is the last of all. Raises BadRequest."""
    tokens, last, is_last = 0, "", False
    for message in messages:
        if not isinstance(message, Mapping):
            raise BadRequest("each message must be an object")
        text, extra = content_text(message.get(content))
        extra += tools_tokens(message.get("tool_calls")) + TOKENS_PER_IMAGE * len(message.get("images") or ())
        tokens += count(text) + extra + TOKENS_PER_MESSAGE
        is_last = bool(text) and message.get("role", "user") == "user"
        last = text if is_last else last
    return tokens, last, is_last


def tools_tokens(tools: object) -> int:
    """The tokens that tool definitions, or calls, add to the input."""
    return count(orjson.dumps(tools).decode()) if tools else 0


def mentioned(tools: Iterable[Tool], text: str) -> Tool | None:
    """The first tool whose name the text says: how a model that may choose chooses here."""
    return next((tool for tool in tools if tool.name and tool.name in text), None)
