"""The `input` of a response request as messages: a text, or a list of items."""

from typing import Any

from processors.api import fields
from processors.api.bad_request import BadRequest
from schemas.requests import ContentPart, Message, ToolCall

_ROLES = ("user", "assistant", "system", "developer")
_TEXTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}


def messages_of(value: Any) -> list[Message]:
    """All items in their order. Thoughts are left out: no provider takes another's. Raises BadRequest."""
    if isinstance(value, str) and value:
        return [Message("user", value)]
    if not isinstance(value, list) or not value:
        raise BadRequest("`input` must be a text, or a list with at least one item", "input")
    found: list[Message] = []
    for number, item in enumerate(fields.objects(value, "input")):
        where = f"input[{number}]"
        kind = item.get("type", "message")
        if kind == "message":
            found.append(_message(item, where))
        elif kind == "function_call":
            _add_call(found, _call(item, where))
        elif kind == "function_call_output":
            call_id = fields.text(item.get("call_id"), f"{where}.call_id")
            found.append(Message("tool", _output(item.get("output"), where), tool_call_id=call_id))
        elif kind != "reasoning":
            known = "message, function_call, function_call_output and reasoning"
            raise BadRequest(f"{where}: an item of type {str(kind)[:40]!r} is not supported; {known} are", "input")
    return found


def _message(item: dict[str, Any], where: str) -> Message:
    role, content = item.get("role"), item.get("content")
    if role not in _ROLES:
        raise BadRequest(f"{where}.role must be user, assistant, system or developer", "input")
    if isinstance(content, str):
        return Message(role, content)
    parts = tuple(_part(part, where) for part in fields.objects(content, f"{where}.content"))
    if not parts:
        raise BadRequest(f"{where}.content must be a text, or a list with at least one part", "input")
    if len(parts) == 1 and parts[0].text is not None:
        return Message(role, parts[0].text)
    return Message(role, parts=parts)


def _part(part: dict[str, Any], where: str) -> ContentPart:
    kind = part.get("type")
    if (field := _TEXTS.get(str(kind))) is not None and isinstance(part.get(field), str):
        return ContentPart("text", text=part[field])
    if kind == "input_image" and isinstance(address := part.get("image_url"), str):
        if part.get("detail", "auto") == "auto":
            return ContentPart("image_url", image_url=address)
        return fields.as_given({"type": "image_url", "image_url": {"url": address, "detail": part["detail"]}})
    if kind == "input_file" and part.get("file_data") is not None:
        file = {name: part[name] for name in ("file_data", "filename") if part.get(name) is not None}
        return fields.as_given({"type": "file", "file": file})
    raise BadRequest(
        f"{where}: a part of type {str(kind)[:40]!r} is not supported so; input_text, input_image with `image_url` and "
        "input_file with `file_data` are",
        "input",
    )


def _call(item: dict[str, Any], where: str) -> ToolCall:
    arguments = item.get("arguments")
    if not isinstance(arguments, str):
        raise BadRequest(f"{where}.arguments must be a text with JSON", "input")
    call_id, name = fields.text(item.get("call_id"), f"{where}.call_id"), fields.text(item.get("name"), f"{where}.name")
    return ToolCall(call_id, name, arguments)


def _add_call(found: list[Message], call: ToolCall) -> None:
    """A call belongs to what the assistant said just before: providers want the calls of one turn in one message."""
    if found and found[-1].role == "assistant":
        said = found.pop()
        found.append(Message("assistant", said.content, said.parts, tool_calls=(*said.tool_calls, call)))
    else:
        found.append(Message("assistant", tool_calls=(call,)))


def _output(output: Any, where: str) -> str:
    """What a function gave back, as text."""
    if isinstance(output, str):
        return output
    parts = [_part(part, where) for part in fields.objects(output, f"{where}.output")]
    if not parts or any(part.text is None for part in parts):
        raise BadRequest(f"{where}.output must be a text, or a list of input_text", "input")
    return "\n".join(part.text or "" for part in parts)
