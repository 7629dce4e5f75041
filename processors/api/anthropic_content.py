"""Anthropic's messages and content blocks as ours.

A user turn that holds tool results becomes one `tool` message a result, then a `user` message with all else, images inside the
results included: the one order that every provider takes. Thinking that carries no signature is left out, for Anthropic takes it
back only signed, and no other provider takes it at all.
"""

from collections.abc import Iterable
from typing import Any

from processors.api import fields
from processors.api.bad_request import BadRequest
from schemas.requests import ContentPart, Message, ToolCall

_ROLES = ("user", "assistant", "system")


def system_of(system: Any) -> tuple[Message, ...]:
    """The system prompt: a text, or one message a block."""
    if system is None or system == "":
        return ()
    if isinstance(system, str):
        return (Message("system", system),)
    blocks = fields.objects(system, "system")
    if any(block.get("type") != "text" or not isinstance(block.get("text"), str) for block in blocks):
        raise BadRequest("`system` must be a text or a list of text blocks", "system")
    return tuple(Message("system", block["text"]) for block in blocks)


def messages_of(messages: Iterable[dict[str, Any]]) -> list[Message]:
    """All turns in their order. Raises BadRequest."""
    found: list[Message] = []
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            raise BadRequest(f"{where}.role must be user, assistant or system", "messages")
        if isinstance(content, str):
            found.append(Message(role, content))
            continue
        if not isinstance(content, list) or not content:
            raise BadRequest(f"{where}.content must be a text or a list of content blocks", "messages")
        blocks = fields.objects(content, f"{where}.content")
        found += [_assistant(blocks, where)] if role == "assistant" else _user(role, blocks, where)
    return found


def _user(role: str, blocks: list[dict[str, Any]], where: str) -> list[Message]:
    results: list[Message] = []
    parts: list[ContentPart] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            message, images = _result(block, where)
            results.append(message)
            parts += images
        else:
            parts.append(_part(block, where))
    return [*results, _spoken(role, parts)] if parts else results


def _assistant(blocks: list[dict[str, Any]], where: str) -> Message:
    parts: list[ContentPart] = []
    calls: list[ToolCall] = []
    for block in blocks:
        if block.get("type") == "tool_use" and "toolset_name" not in block:
            arguments = fields.compact(fields.an_object(block.get("input"), f"{where}: `input`"))
            call_id, name = fields.text(block.get("id"), f"{where}: `id`"), fields.text(block.get("name"), f"{where}: `name`")
            calls.append(ToolCall(call_id, name, arguments))
        elif block.get("type") != "thinking" or block.get("signature"):
            parts.append(_part(block, where))
    said = _spoken("assistant", parts)
    return Message("assistant", said.content if said.content or not calls else None, said.parts, tool_calls=tuple(calls))


def _spoken(role: str, parts: list[ContentPart]) -> Message:
    """One text is a message's content; anything else its parts."""
    if not parts:
        return Message(role, "")
    if len(parts) == 1 and parts[0].type == "text" and parts[0].text is not None:
        return Message(role, parts[0].text)
    return Message(role, parts=tuple(parts))


def _result(block: dict[str, Any], where: str) -> tuple[Message, list[ContentPart]]:
    """A tool's answer as text, and what it shows besides. Other providers have no word for a failure: the text says it."""
    content = block.get("content")
    blocks = [] if content is None else [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [_part(each, where) for each in fields.objects(blocks, f"{where}: `content` of a tool_result")]
    said = "\n".join(part.text for part in parts if part.text is not None)
    if fields.flag(block.get("is_error"), f"{where}: `is_error`"):
        said = f"Error: {said}"
    call_id = fields.text(block.get("tool_use_id"), f"{where}: `tool_use_id`")
    return Message("tool", said, tool_call_id=call_id), [part for part in parts if part.text is None]


def _part(block: dict[str, Any], where: str) -> ContentPart:
    kind = fields.text(block.get("type"), f"{where}: the `type` of a content block")
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise BadRequest(f"{where}: a text block needs its `text`", "messages")
        return ContentPart("text", text=block["text"])
    if kind == "image" and (address := _address(fields.an_object(block.get("source"), f"{where}: `source`"))) is not None:
        return ContentPart("image_url", image_url=address)
    return fields.as_given({name: value for name, value in block.items() if name != "cache_control"})


def _address(source: dict[str, Any]) -> str | None:
    """Where an image is, as every provider takes it; None for a file kept at Anthropic."""
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return str(source["url"])
    if source.get("type") == "base64" and isinstance(source.get("media_type"), str) and isinstance(source.get("data"), str):
        return f"data:{source['media_type']};base64,{source['data']}"
    return None
