"""Our answers as `response` objects, read by the types of OpenAI's SDK."""

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from processors.api.refusals import Refusal
from processors.api.responses_response import Answering
from processors.api.responses_stream import ResponsesStream
from schemas.calls import Output
from schemas.requests import ToolCall
from tests.unit.api.made import CALLS, NAMED, Event, events, named, response, strict, tool_delta

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
BODY = {"model": "auto", "input": "Hi", "instructions": "Be brief.", "tools": [TOOL], "text": {"verbosity": "low"}}
ANSWERING = Answering(NAMED, BODY)


def ended(output: Output) -> Response:
    return strict(Response, ANSWERING.ended(response(output), ANSWERING.items(output)))


def sent_by(stream: ResponsesStream, *pieces: bytes, output: Output) -> list[Event]:
    """The events of a whole answer, each of a known type, numbered without a gap."""
    sent = events(b"".join(pieces) + b"".join(stream.closing(response(output))))
    assert [event.data["sequence_number"] for event in sent] == list(range(len(sent)))
    assert [EVENT.validate_python(event.data).type for event in sent] == [event.name for event in sent]
    return sent


def test_a_response_repeats_what_was_asked() -> None:
    read = ended(Output(content="Danube", finish_reason="stop"))
    assert (read.id, read.status, read.output_text, read.model) == ("req-1", "completed", "Danube", "gpt-4o-mini")
    assert (read.instructions, read.tools[0].type, read.parallel_tool_calls) == ("Be brief.", "function", True)
    assert read.usage is not None
    assert (read.usage.input_tokens, read.usage.input_tokens_details.cached_tokens, read.usage.total_tokens) == (30, 8, 42)


def test_thoughts_text_and_calls_are_items() -> None:
    read = ended(Output(content="Danube", reasoning="Hm.", tool_calls=CALLS, finish_reason="tool_calls"))
    assert [item.type for item in read.output] == ["reasoning", "message", "function_call", "function_call"]
    assert len({item.id for item in read.output}) == 4


@pytest.mark.parametrize(
    ("output", "status", "kinds"),
    [
        (Output(content="Dan", finish_reason="length"), "incomplete", ["output_text"]),
        (Output(content="Dan", refusal="No.", finish_reason="stop"), "completed", ["output_text", "refusal"]),
        (Output(finish_reason="content_filter"), "incomplete", ["output_text"]),
    ],
)
def test_an_answer_that_is_cut_short_or_refused(output: Output, status: str, kinds: list[str]) -> None:
    read = ended(output)
    assert read.status == status
    assert read.output[0].type == "message"
    assert [part.type for part in read.output[0].content] == kinds


def test_a_stream_of_thoughts_text_and_a_call() -> None:
    stream = ResponsesStream(ANSWERING)
    output = Output(content="Danube", reasoning="Hm.", tool_calls=CALLS[:1], finish_reason="tool_calls")
    sent = sent_by(
        stream,
        stream.opening(),
        stream.reasoning("H"),
        stream.reasoning("m."),
        stream.text("Dan"),
        stream.text("ube"),
        stream.tool_deltas([tool_delta(0, "", CALLS[0])]),
        stream.tool_deltas([tool_delta(0, CALLS[0].arguments_json)]),
        output=output,
    )
    assert [event.name.removeprefix("response.") for event in sent if event.name] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    (completed,) = named(sent, "response.completed")
    assert strict(Response, completed["response"]) == ended(output)
    assert [event["output_index"] for event in named(sent, "response.output_item.done")] == [0, 1, 2]


def test_two_calls_whose_pieces_mingle_come_one_after_the_other() -> None:
    stream = ResponsesStream(ANSWERING)
    output = Output(tool_calls=CALLS, finish_reason="tool_calls")
    sent = sent_by(
        stream,
        stream.opening(),
        stream.tool_deltas([tool_delta(0, '{"city":', CALLS[0]), tool_delta(1, '{"zone":', CALLS[1])]),
        stream.tool_deltas([tool_delta(1, '"CET"}'), tool_delta(0, '"Ulm"}')]),
        output=output,
    )
    done = named(sent, "response.function_call_arguments.done")
    assert [event["arguments"] for event in done] == [call.arguments_json for call in CALLS]
    assert strict(Response, named(sent, "response.completed")[0]["response"]) == ended(output)


@pytest.mark.parametrize(
    ("said", "output"),
    [
        pytest.param((), Output(finish_reason="stop"), id="nothing"),
        pytest.param(("text",), Output(content="text", finish_reason="stop"), id="text"),
        pytest.param(("refusal",), Output(refusal="refusal", finish_reason="stop"), id="a refusal"),
        pytest.param(
            ("text", "refusal"), Output(content="text", refusal="refusal", finish_reason="stop"), id="text, then a refusal"
        ),
    ],
)
def test_a_stream_ends_with_the_same_response_as_a_whole_answer(said: tuple[str, ...], output: Output) -> None:
    stream = ResponsesStream(ANSWERING)
    sent = sent_by(stream, stream.opening(), *(getattr(stream, word)(word) for word in said), output=output)
    assert strict(Response, named(sent, "response.completed")[0]["response"]) == ended(output)
    added, done = named(sent, "response.content_part.added"), named(sent, "response.content_part.done")
    assert [e["content_index"] for e in added] == [e["content_index"] for e in done] == list(range(max(1, len(said))))


def test_a_call_without_arguments_ends_with_the_answer() -> None:
    stream = ResponsesStream(ANSWERING)
    call = ToolCall("call_1", "now", "")
    sent = sent_by(stream, stream.opening(), stream.tool_deltas([tool_delta(0, "", call)]), output=Output(tool_calls=(call,)))
    assert [event["item"]["name"] for event in named(sent, "response.output_item.done")] == ["now"]


def test_an_answer_cut_short_ends_as_incomplete() -> None:
    stream = ResponsesStream(ANSWERING)
    sent = sent_by(stream, stream.opening(), stream.text("Dan"), output=Output(content="Dan", finish_reason="length"))
    (last,) = named(sent, "response.incomplete")
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit_exceeded"), (502, "server_error"), (400, "invalid_prompt")])
def test_a_stream_that_fails_ends_with_why(status: int, code: str) -> None:
    stream = ResponsesStream(ANSWERING)
    begun = stream.opening() + stream.text("Dan")
    sent = events(begun + stream.failing(Refusal(status, "broken", "it broke")))
    read = EVENT.validate_python(sent[-1].data)
    assert (read.type, read.response.status, read.response.error.code) == ("response.failed", "failed", code)
    assert read.response.output[0].status == "incomplete"
