"""Our answers in Anthropic's shapes, read by the types of its SDK and put together by its own code."""

from collections.abc import Iterable
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from processors.api.anthropic_response import message
from processors.api.anthropic_stream import AnthropicStream
from processors.api.refusals import Refusal
from schemas.calls import Output
from schemas.requests import ToolCall
from tests.unit.api.made import CALLS, NAMED, Event, events, named, response, strict, tool_delta

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def put_together(stream: Iterable[Event]) -> Any:
    snapshot, buffers = None, {}  # type: ignore[var-annotated]
    for event in stream:
        if event.name != "ping":
            assert event.name == event.data["type"]
            read = EVENT.validate_python(event.data)
            snapshot = accumulate_event(event=read, current_snapshot=snapshot, json_bufs=buffers)
    return snapshot


def whole(stream: AnthropicStream, *pieces: bytes, **answer: Any) -> list[Event]:
    return events(stream.opening() + b"".join(pieces) + b"".join(stream.closing(response(**answer))))


def test_a_message() -> None:
    read = strict(Message, message(response(Output(content="Danube", reasoning="Hm.", finish_reason="stop")), NAMED))
    assert [(block.type) for block in read.content] == ["thinking", "text"]
    assert (read.id, read.model, read.stop_reason) == ("req-1", "gpt-4o-mini", "end_turn")
    assert (read.usage.input_tokens, read.usage.cache_read_input_tokens, read.usage.cache_creation_input_tokens) == (20, 8, 2)
    assert read.usage.output_tokens == 12


def test_a_message_that_calls_tools() -> None:
    read = strict(Message, message(response(Output(tool_calls=CALLS, finish_reason="tool_calls")), NAMED))
    assert read.stop_reason == "tool_use"
    assert [(b.id, b.input) for b in read.content if b.type == "tool_use"] == [
        ("call_1", {"city": "Ulm"}),
        ("call_2", {"zone": "CET"}),
    ]


def test_an_answer_without_usage_counts_nothing() -> None:
    read = strict(Message, message(response(usage=None), NAMED))
    assert (read.usage.input_tokens, read.usage.output_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("output", "stop"),
    [
        (Output(content="a", finish_reason="length"), "max_tokens"),
        (Output(content="a", finish_reason="content_filter"), "refusal"),
        (Output(refusal="No.", finish_reason="stop"), "refusal"),
    ],
)
def test_stop_reasons(output: Output, stop: str) -> None:
    read = strict(Message, message(response(output), NAMED))
    assert read.stop_reason == stop
    assert len(read.content) == 1


def test_a_stream_of_thoughts_text_and_a_tool() -> None:
    stream = AnthropicStream(NAMED, 25)
    sent = whole(
        stream,
        stream.reasoning("H"),
        stream.reasoning("m."),
        stream.text("Dan"),
        stream.text("ube"),
        stream.tool_deltas([tool_delta(0, "", CALLS[0])]),
        stream.tool_deltas([tool_delta(0, '{"city":')]),
        stream.tool_deltas([tool_delta(0, '"Ulm"}')]),
        output=Output(content="Danube", tool_calls=CALLS[:1], finish_reason="tool_calls"),
    )
    read = put_together(sent)
    assert read.content[0].thinking == "Hm."
    assert read.content[1].text == "Danube"
    assert (read.content[2].id, read.content[2].name, read.content[2].input) == ("call_1", "weather", {"city": "Ulm"})
    assert (read.stop_reason, read.usage.input_tokens, read.usage.output_tokens) == ("tool_use", 20, 12)
    assert named(sent, "message_start")[0]["message"]["usage"]["input_tokens"] == 25
    assert sent[1].name == "ping"
    assert sent[-1].name == "message_stop"
    blocks = [(e.name, e.data["index"]) for e in sent if e.name in {"content_block_start", "content_block_stop"}]
    assert blocks == [(f"content_block_{edge}", i) for i in range(3) for edge in ("start", "stop")]


def test_two_calls_whose_pieces_mingle_come_one_after_the_other() -> None:
    stream = AnthropicStream(NAMED, 25)
    sent = whole(
        stream,
        stream.tool_deltas([tool_delta(0, '{"city":', CALLS[0]), tool_delta(1, '{"zone":', CALLS[1])]),
        stream.tool_deltas([tool_delta(1, '"CET"}'), tool_delta(0, '"Ulm"}')]),
        output=Output(tool_calls=CALLS, finish_reason="tool_calls"),
    )
    read = put_together(sent)
    assert [block.input for block in read.content] == [{"city": "Ulm"}, {"zone": "CET"}]
    opened = [e.data["index"] for e in sent if e.name == "content_block_delta"]
    assert opened == sorted(opened)


def test_calls_that_follow_one_another_are_sent_as_they_come() -> None:
    stream = AnthropicStream(NAMED, 25)
    first = stream.tool_deltas([tool_delta(0, '{"city":"Ulm"}', CALLS[0])])
    second = stream.tool_deltas([tool_delta(1, '{"zone":', CALLS[1])])
    assert [e.name for e in events(first)] == ["content_block_start", "content_block_delta"]
    assert [e.name for e in events(second)] == ["content_block_stop", "content_block_start", "content_block_delta"]


def test_a_call_without_arguments_ends_with_the_answer() -> None:
    stream = AnthropicStream(NAMED, 25)
    call = ToolCall("call_1", "now", "")
    read = put_together(
        whole(
            stream, stream.tool_deltas([tool_delta(0, "", call)]), output=Output(tool_calls=(call,), finish_reason="tool_calls")
        )
    )
    assert (read.content[0].name, read.content[0].input) == ("now", {})


def test_text_after_a_tool_is_a_block_of_its_own() -> None:
    stream = AnthropicStream(NAMED, 25)
    sent = whole(stream, stream.tool_deltas([tool_delta(0, '{"city":"Ulm"}', CALLS[0])]), stream.text("So."))
    assert [block.type for block in put_together(sent).content] == ["tool_use", "text"]


def test_an_answer_of_nothing() -> None:
    stream = AnthropicStream(NAMED, 25)
    assert put_together(whole(stream, output=Output(finish_reason="stop"))).content == []


def test_a_stream_that_fails_ends_with_the_error() -> None:
    (event,) = events(AnthropicStream(NAMED, 25).failing(Refusal(503, "overloaded", "try later")))
    assert event.name == "error"
    assert event.data["error"] == {"type": "overloaded_error", "message": "try later"}
