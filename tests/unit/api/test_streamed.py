"""What a client is sent of an answer whose calls may fail on the way, and what of it is left out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from processors.api.openai_stream import OpenAiStream
from schemas.calls import Output
from streams.edge.mailbox import Piece
from streams.edge.principal import Refused
from streams.edge.streamed import streamed
from tests.unit.api.made import CALLS, NAMED, chunk, events, failed, response, tool_delta, tools


@dataclass(frozen=True, slots=True)
class Given:
    """What the log holds of a request."""

    given: tuple[Piece, ...]

    async def pieces(self) -> AsyncIterator[Piece]:
        for piece in self.given:
            yield piece


async def sent_of(*pieces: Piece) -> tuple[str, str, str, str]:
    """What a client has read: thoughts, text, tool arguments, refusal. Raises Refused as the stream does."""
    stream = OpenAiStream(NAMED, chat=True, include_usage=False)
    sent = b""
    async for event in streamed(Given(pieces), stream):  # type: ignore[arg-type]
        sent += event
    *told, done = events(sent)
    assert done.data == "[DONE]"
    deltas = [event.data["choices"][0]["delta"] for event in told]
    assert [delta for delta in deltas if delta.get("role")] == deltas[:1]
    thoughts, text, refusal = ("".join(d.get(word) or "" for d in deltas) for word in ("reasoning_content", "content", "refusal"))
    arguments = "".join(piece["function"]["arguments"] for d in deltas for piece in d.get("tool_calls", ()))
    return thoughts, text, arguments, refusal


async def test_pieces_and_the_rest_are_the_answer() -> None:
    assert await sent_of(chunk(0, content="Dan"), chunk(1, content="u"), response()) == ("", "Danube", "", "")


async def test_an_answer_without_pieces_comes_whole() -> None:
    output = Output(content="Danube", reasoning="Hm.", refusal="No.", tool_calls=CALLS[:1], finish_reason="stop")
    assert await sent_of(response(output)) == ("Hm.", "Danube", CALLS[0].arguments_json, "No.")


async def test_a_piece_that_came_twice_or_after_a_gap_is_left_out() -> None:
    pieces = (chunk(0, content="Dan"), chunk(0, content="Dan"), chunk(2, content="be"), chunk(3, content="!"))
    assert await sent_of(*pieces, response()) == ("", "Danube", "", "")


async def test_another_call_that_says_the_same_goes_on_where_the_first_one_broke_off() -> None:
    pieces = (chunk(0, content="Dan"), chunk(0, "c2", content="D"), chunk(1, "c2", content="anub"))
    assert await sent_of(*pieces, response(call_id="c2")) == ("", "Danube", "", "")


async def test_another_answer_than_the_client_has_begun_to_read_is_an_error() -> None:
    with pytest.raises(Refused) as refused:
        await sent_of(chunk(0, content="Rhi"), chunk(0, "c2", content="Dan"), response(call_id="c2"))
    assert refused.value.refusal.code == "attempt_voided"


async def test_thoughts_are_those_of_one_call() -> None:
    pieces = (chunk(0, reasoning="Hm."), chunk(0, "c2", reasoning="Well."), chunk(1, "c2", content="Danube"))
    assert await sent_of(*pieces, response(call_id="c2")) == ("Hm.", "Danube", "", "")


async def test_tool_calls_of_the_call_that_answered() -> None:
    pieces = (
        chunk(0, tool_calls_json=tools(tool_delta(0, "", CALLS[0]))),
        chunk(1, tool_calls_json=tools(tool_delta(0, CALLS[0].arguments_json))),
    )
    answer = response(Output(tool_calls=CALLS[:1], finish_reason="tool_calls"))
    assert await sent_of(*pieces, answer) == ("", "", CALLS[0].arguments_json, "")


async def test_tool_calls_of_a_call_that_failed_are_an_error() -> None:
    piece = chunk(0, tool_calls_json=tools(tool_delta(0, "", CALLS[0])))
    with pytest.raises(Refused) as refused:
        await sent_of(piece, response(Output(tool_calls=CALLS[:1]), call_id="c2"))
    assert refused.value.refusal.status == 502


async def test_an_error_before_the_first_piece_decides_the_status() -> None:
    with pytest.raises(Refused) as refused:
        await sent_of(failed("limited", retryable=True))
    assert (refused.value.refusal.status, refused.value.refusal.retry_after_s) == (429, 5)
