"""What every adapter makes of whole answers. A new provider is one entry in `cases.py` and one folder of recorded replies."""

import json
from dataclasses import replace

import pytest

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, FailureKind, Usage
from schemas.requests import ContentPart, Message, Operation, ToolCall
from tests.contract.providers.cases import EVERY, KEY, TEXT
from tests.contract.providers.wire import Reply
from tests.unit.providers.calls import call

TOOLS = json.dumps([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}])


def usage_of(spoken) -> Usage:
    return Usage(
        12, 7, cache_read_input_tokens=spoken.cached, cache_write_input_tokens=spoken.written, reasoning_tokens=spoken.thought
    )


async def complete(spoken, server, asked, *replies, chunks=None, timeout_s=5.0):
    server.will(*replies)
    adapter = spoken.adapter(server.address)
    try:
        return await adapter.complete(asked, timeout_s=timeout_s, on_chunk=None if chunks is None else chunks.append)
    finally:
        await adapter.close()


@EVERY
async def test_a_whole_answer(spoken, server):
    found = await complete(spoken, server, call(), Reply(spoken.recorded("chat")))
    assert isinstance(found, Completion), found
    assert (found.output.content, found.output.reasoning) == (TEXT, "Look outside.")
    assert (found.output.finish_reason, found.output.response_model) == ("stop", "m-2026")
    assert found.usage == usage_of(spoken)


@EVERY
async def test_a_stream_folds_into_the_same_answer(spoken, server):
    chunks = []
    reply = Reply(spoken.stream("chat"), content_type=spoken.stream_type, chunked=True)
    found = await complete(spoken, server, call(), reply, chunks=chunks)
    assert isinstance(found, Completion), found
    assert (found.output.content, found.output.reasoning) == (TEXT, "Look outside.")
    assert (found.output.finish_reason, found.output.response_model) == ("stop", "m-2026")
    assert found.usage == usage_of(spoken)
    assert found.first_token_ms is not None
    assert "".join(c.content or "" for c in chunks) == TEXT
    assert "".join(c.reasoning or "" for c in chunks) == "Look outside."
    assert [c.finish_reason for c in chunks if c.finish_reason] == ["stop"]
    assert [c.usage for c in chunks if c.usage][-1] == usage_of(spoken)


@EVERY
@pytest.mark.parametrize("bytes_each", [1, 2, 3, 7])
async def test_a_stream_may_be_cut_anywhere_even_inside_a_character(spoken, server, bytes_each):
    body = spoken.stream("chat")
    reply = Reply(body, content_type=spoken.stream_type, chunked=True, pieces=-(-len(body) // bytes_each))
    found = await complete(spoken, server, call(), reply, chunks=[], timeout_s=20.0)
    assert isinstance(found, Completion), found
    assert found.output.content == TEXT


@EVERY
async def test_a_stream_may_end_its_lines_with_crlf(spoken, server):
    body = spoken.stream("chat").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    found = await complete(spoken, server, call(), Reply(body, content_type=spoken.stream_type, chunked=True), chunks=[])
    assert isinstance(found, Completion), found
    assert found.output.content == TEXT


@EVERY
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_tool_calls(spoken, server, streamed):
    chunks = [] if streamed else None
    reply = Reply(
        spoken.stream("tools") if streamed else spoken.recorded("tools"),
        content_type=spoken.stream_type if streamed else "application/json",
        chunked=streamed,
    )
    found = await complete(spoken, server, call(tools_json=TOOLS), reply, chunks=chunks)
    assert isinstance(found, Completion), found
    (made,) = found.output.tool_calls
    assert (made.id, made.name, json.loads(made.arguments_json)) == ("call_a", "weather", {"city": "Bonn"})
    assert found.output.finish_reason == "tool_calls"
    if streamed:
        deltas = [d for c in chunks if c.tool_calls_json for d in json.loads(c.tool_calls_json)]
        assert {d["index"] for d in deltas} == {0}
        assert [d["function"]["name"] for d in deltas if d["function"].get("name")] == ["weather"]
        assert json.loads("".join(d["function"].get("arguments", "") for d in deltas)) == {"city": "Bonn"}


@EVERY
async def test_a_classification_answers_with_one_of_the_labels(spoken, server):
    asked = call(Operation.CLASSIFICATION, labels=("spam", "ham"))
    found = await complete(spoken, server, asked, Reply(spoken.recorded("label")), chunks=[])
    assert isinstance(found, Completion), found
    assert found.output.label == "spam"
    assert "- ham" in json.dumps(server.asked[0].body, ensure_ascii=False)


@EVERY
async def test_an_answer_that_is_no_label_is_a_failure_that_was_billed(spoken, server):
    found = await complete(spoken, server, call(Operation.CLASSIFICATION), Reply(spoken.recorded("chat")))
    assert isinstance(found, Failed)
    assert (found.failure.kind, found.failure.billing) == (FailureKind.MALFORMED_REPLY, Billing.BILLED)
    assert found.usage == usage_of(spoken)


@EVERY
async def test_embeddings(spoken, server):
    asked = call(Operation.EMBEDDINGS, input=("a", "b"))
    if not spoken.embeds:
        found = await complete(spoken, server, asked)
        assert isinstance(found, Failed)
        assert (found.failure.kind, found.failure.billing) == (FailureKind.NOT_FOUND, Billing.NOT_BILLED)
        assert server.asked == []
        return
    found = await complete(spoken, server, asked, Reply(spoken.recorded("embeddings")), chunks=[])
    assert isinstance(found, Completion), found
    assert found.output.embeddings == ((0.5, -0.25), (1.0, 0.0))
    assert "a" in json.dumps(server.asked[0].body)


@EVERY
async def test_every_call_carries_its_ids_its_model_and_the_bound_of_its_price(spoken, server):
    await complete(spoken, server, call(model="some-model", bound=77), Reply(spoken.recorded("chat")))
    (asked,) = server.asked
    assert asked.headers["x-penstock-call-id"] == "c1"
    assert asked.headers["x-penstock-request-id"] == "r1"
    assert "some-model" in asked.path + json.dumps(asked.body)
    assert 77 in _numbers(asked.body)


@EVERY
async def test_the_key_is_sent_in_a_header_alone_and_nothing_of_the_machine_is_told(spoken, server):
    await complete(spoken, server, call(), Reply(spoken.recorded("chat")))
    (asked,) = server.asked
    assert any(value.removeprefix("Bearer ") == KEY for value in asked.headers.values())
    assert KEY not in asked.path + json.dumps(asked.body)
    telling = [
        n for n in asked.headers if n.startswith("x-stainless") and n not in {"x-stainless-retry-count", "x-stainless-timeout"}
    ]
    assert telling == []


@EVERY
async def test_a_request_id_that_no_header_can_carry_is_left_out_of_the_headers(spoken, server):
    asked = call()
    asked = replace(asked, order=replace(asked.order, request_id="naïve\r\nX-Injected: 1"))
    found = await complete(spoken, server, asked, Reply(spoken.recorded("chat")))
    assert isinstance(found, Completion), found
    assert server.asked[0].headers["x-penstock-request-id"] == "-"
    assert "x-injected" not in server.asked[0].headers


@EVERY
async def test_connections_are_used_again_after_whole_and_streamed_answers(spoken, server):
    adapter = spoken.adapter(server.address)
    try:
        for _ in range(3):
            server.will(Reply(spoken.recorded("chat")))
            assert isinstance(await adapter.complete(call(), timeout_s=5), Completion)
            server.will(Reply(spoken.stream("chat"), content_type=spoken.stream_type, chunked=True))
            assert isinstance(await adapter.complete(call(), timeout_s=5, on_chunk=lambda _: None), Completion)
    finally:
        await adapter.close()
    assert server.connections == 1


@EVERY
async def test_a_conversation_with_tools_images_and_a_system_prompt_can_be_asked(spoken, server):
    asked = call(
        messages=(
            Message("system", "Be brief."),
            Message(
                "user", parts=(ContentPart("text", "Where?"), ContentPart("image_url", image_url="data:image/png;base64,aGk="))
            ),
            Message(
                "assistant",
                tool_calls=(ToolCall("t1", "weather", '{"city":"Bonn"}'), ToolCall("t2", "weather", '{"city":"Ulm"}')),
            ),
            Message("tool", '{"rain":true}', tool_call_id="t1"),
            Message("tool", "sun", tool_call_id="t2"),
            Message("user", "And now?"),
        ),
        tools_json=TOOLS,
        tool_choice_json='"auto"',
    )
    found = await complete(spoken, server, asked, Reply(spoken.recorded("chat")))
    assert isinstance(found, Completion), found
    sent = json.dumps(server.asked[0].body, ensure_ascii=False)
    for part in ("Be brief.", "Where?", "aGk=", "Bonn", "Ulm", "rain", "sun", "And now?"):
        assert part in sent


def _numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in _numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in _numbers(v)]
    return [value] if isinstance(value, int) else []
