"""Our answers in OpenAI's shapes, read by the types of its SDK."""

import base64
import struct

import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from processors.api.finish import finish_of
from processors.api.openai_response import as_base64, completion
from processors.api.openai_stream import OpenAiStream
from processors.api.refusals import Refusal
from schemas.calls import Output
from schemas.requests import Operation
from tests.unit.api.made import CALLS, NAMED, events, response, strict


def test_a_chat() -> None:
    read = strict(ChatCompletion, completion(response(), NAMED))
    assert (read.id, read.model, read.choices[0].message.content) == ("req-1", "gpt-4o-mini", "Danube")
    assert read.usage is not None
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.total_tokens) == (30, 12, 42)
    assert read.usage.prompt_tokens_details is not None
    assert read.usage.prompt_tokens_details.cached_tokens == 8


def test_a_chat_that_calls_tools() -> None:
    read = strict(ChatCompletion, completion(response(Output(tool_calls=CALLS, finish_reason="tool_calls")), NAMED))
    assert read.choices[0].finish_reason == "tool_calls"
    assert [call.id for call in read.choices[0].message.tool_calls or ()] == ["call_1", "call_2"]


def test_a_text_completion() -> None:
    read = strict(Completion, completion(response(operation=Operation.TEXT_COMPLETION), NAMED))
    assert (read.choices[0].text, read.choices[0].finish_reason) == ("Danube", "stop")


def test_embeddings_as_numbers_and_as_base64() -> None:
    answer = response(Output(embeddings=((0.5, -1.0), (2.0, 3.0))), operation=Operation.EMBEDDINGS)
    body = completion(answer, NAMED)
    assert [each.embedding for each in strict(CreateEmbeddingResponse, body).data] == [[0.5, -1.0], [2.0, 3.0]]
    assert struct.unpack("<2f", base64.b64decode(as_base64(body)["data"][1]["embedding"])) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("output", "finish"),
    [
        (Output(content="a", finish_reason="stop"), "stop"),
        (Output(content="a"), "stop"),
        (Output(content="a", finish_reason="pause"), "stop"),
        (Output(content="a", finish_reason="MAX_TOKENS"), "length"),
        (Output(content="a", finish_reason="SAFETY"), "content_filter"),
        (Output(tool_calls=CALLS, finish_reason="stop"), "tool_calls"),
        (Output(tool_calls=CALLS, finish_reason="length"), "length"),
    ],
)
def test_every_finish_reason_is_one_of_four(output: Output, finish: str) -> None:
    assert finish_of(output) == finish


def test_a_streamed_chat_with_its_usage() -> None:
    stream = OpenAiStream(NAMED, chat=True, include_usage=True)
    sent = (
        stream.opening()
        + stream.reasoning("Hm.")
        + stream.text("Dan")
        + stream.text("ube")
        + b"".join(stream.closing(response()))
    )
    *told, done = events(sent)
    assert done.data == "[DONE]"
    chunks = [ChatCompletionChunk.model_validate(event.data) for event in told]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Danube"
    assert [c.choices[0].finish_reason for c in chunks if c.choices] == [None, None, None, None, "stop"]
    assert [c.usage.total_tokens for c in chunks if c.usage] == [42]


def test_a_streamed_text_completion_without_usage() -> None:
    stream = OpenAiStream(NAMED, chat=False, include_usage=False)
    *told, _ = events(stream.opening() + stream.text("Danube") + b"".join(stream.closing(response())))
    said, end = (event.data["choices"][0] for event in told)  # OpenAI too sends null before the end, whatever its types say
    assert (said["text"], said["finish_reason"]) == ("Danube", None)
    assert strict(Completion, told[-1].data).choices[0].finish_reason == end["finish_reason"] == "stop"
    assert not any("usage" in event.data for event in told)


def test_a_stream_that_fails_ends_with_the_error() -> None:
    (event,) = events(OpenAiStream(NAMED, chat=True, include_usage=False).failing(Refusal(502, "attempt_voided", "it broke")))
    assert event.data["error"] == {"message": "it broke", "type": "server_error", "param": None, "code": "attempt_voided"}
