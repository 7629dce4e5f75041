"""Answers and their pieces, hand-made, and the events of a stream read back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel

from processors.api.named import Named
from schemas.calls import Output, Usage
from schemas.outcomes import ErrorInfo, InferenceResponse, ResponseChunk, ResponseStatus
from schemas.requests import Operation, ToolCall
from tests.fakes.records import T0

M = TypeVar("M", bound=BaseModel)

NAMED = Named("req-1", 1_700_000_000, "auto")
USAGE = Usage(30, 12, cache_read_input_tokens=8, cache_write_input_tokens=2, reasoning_tokens=5)
CALLS = (ToolCall("call_1", "weather", '{"city":"Ulm"}'), ToolCall("call_2", "clock", '{"zone":"CET"}'))


def response(output: Output | None = None, **changes: Any) -> InferenceResponse:
    """A final response with an answer."""
    told: dict[str, Any] = {
        "request_id": "req-1",
        "tenant": "acme",
        "final": True,
        "status": ResponseStatus.OK,
        "request_model": "auto",
        "attempts": 1,
        "task_kind": "chat",
        "policy": "cheapest@1",
        "received_at": T0,
        "answered_at": T0,
        "operation": Operation.CHAT,
        "output": Output(content="Danube", finish_reason="stop") if output is None else output,
        "usage": USAGE,
        "provider": "openai",
        "deployment": "openai/gpt-4o-mini",
        "response_model": "gpt-4o-mini",
        "call_id": "c1",
        "cost_nanousd": 42,
    }
    return InferenceResponse(**(told | changes))


def failed(kind: str, *, retryable: bool = False) -> InferenceResponse:
    return response(status=ResponseStatus.ERROR, output=None, error=ErrorInfo(kind, f"it was {kind}", retryable), call_id=None)


def chunk(seq: int, call_id: str = "c1", **said: Any) -> ResponseChunk:
    return ResponseChunk("req-1", "acme", call_id, 1, seq, T0, **said)


def tools(*deltas: dict[str, Any]) -> str:
    """The pieces of tool calls as a chunk carries them."""
    return orjson.dumps(deltas).decode()


def tool_delta(index: int, arguments: str, call: ToolCall | None = None) -> dict[str, Any]:
    """A piece of a tool call; the first one of each names the call."""
    function = {"arguments": arguments} if call is None else {"name": call.name, "arguments": arguments}
    return {"index": index, "function": function} | ({} if call is None else {"id": call.id, "type": "function"})


@dataclass(frozen=True, slots=True)
class Event:
    name: str | None
    data: Any


def events(stream: bytes) -> list[Event]:
    """The events of a stream, as a client reads them."""
    found = []
    for block in stream.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if lines:
            data = lines["data"]
            found.append(Event(lines.get("event"), data if data == "[DONE]" else orjson.loads(data)))
    return found


def named(stream: Iterable[Event], name: str) -> list[Any]:
    return [event.data for event in stream if event.name == name]


def strict(model: type[M], body: Any) -> M:
    """The body as an SDK's own type, every field in it known to that type."""
    read = model.model_validate(body)
    unknown = list(_unknown(read, model.__name__))
    assert not unknown, f"fields that {model.__name__} does not know: {unknown}"
    return read


def _unknown(value: Any, where: str) -> Iterable[str]:
    if isinstance(value, BaseModel):
        yield from (f"{where}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{where}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _unknown(each, f"{where}[]")
