"""The folds of streamed answers: what cannot be, and what is already whole."""

import json

import pytest

from processors.providers.anthropic_stream import MessageFold
from processors.providers.contract import Completion, Failed
from processors.providers.google_stream import ContentFold
from processors.providers.ollama_stream import LineFold
from processors.providers.openai_stream import ChatFold
from processors.providers.sse import Event
from processors.providers.streaming import Repeats
from schemas.calls import Billing, FailureKind
from schemas.errors import ProviderContractError
from tests.unit.providers.calls import call


def event(data, **more) -> Event:
    return Event(data if isinstance(data, bytes) else json.dumps(data).encode(), **more)


def openai(delta=None, finish=None, **more):
    return event({"choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}], **more})


def say(text):
    return openai({"content": text})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
DONE = event(b"[DONE]")
STOP = openai(finish="stop")


def folded(fold, *items):
    for item in items:
        fold.add(item)
    return fold.result()


def chat(*events):
    return folded(ChatFold(call(), "p"), *events)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((say("Hi"), STOP, USAGE, DONE), id="all of it"),
        pytest.param((say("Hi"), STOP, USAGE), id="no [DONE]"),
        pytest.param((say("Hi"), USAGE, DONE), id="no finish reason"),
        pytest.param((say("Hi"), STOP, USAGE, USAGE, DONE), id="usage told twice: a total"),
        pytest.param((say("H"), event(b""), say("i"), STOP, USAGE, DONE), id="an event without data"),
        pytest.param(
            (openai({"role": "assistant"}), openai({"role": "assistant", "content": "Hi"}), STOP, USAGE, DONE),
            id="role in every chunk",
        ),
    ],
)
def test_a_whole_stream(events):
    found = chat(*events)
    assert isinstance(found, Completion)
    assert (found.output.content, found.usage.input_tokens, found.usage.output_tokens) == ("Hi", 3, 2)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((say("Hi"), STOP, say("!")), id="content after the end"),
        pytest.param((say("Hi"), openai({"role": "assistant"})), id="the role after the content"),
        pytest.param((event({"choices": []}, id=b"1"), event({"choices": []}, id=b"1")), id="a numbered event twice"),
        pytest.param((openai({"tool_calls": [{"index": 1, "function": {"name": "f"}}]}),), id="a tool call skipped"),
        pytest.param((DONE,), id="no choice at all"),
        pytest.param((event(b"{"),), id="no JSON"),
        pytest.param((event([1]),), id="no object"),
        pytest.param((openai({"content": 7}),), id="content that is no text"),
    ],
)
def test_a_stream_of_openai_that_cannot_be(events):
    with pytest.raises(ProviderContractError):
        chat(*events)


@pytest.mark.parametrize("events", [(), (say("Hi"),), (say("Hi"), USAGE)], ids=["nothing", "content", "content and usage"])
def test_a_stream_of_openai_that_ends_early(events):
    found = chat(*events)
    assert isinstance(found, Failed)
    assert found.failure.kind is FailureKind.INTERRUPTED


@pytest.mark.parametrize(
    ("before", "code", "kind", "billing"),
    [
        ((), 429, FailureKind.RATE_LIMITED, Billing.NOT_BILLED),
        ((), "rate_limit_exceeded", FailureKind.RATE_LIMITED, Billing.NOT_BILLED),
        ((), "context_length_exceeded", FailureKind.CONTEXT_TOO_LONG, Billing.NOT_BILLED),
        ((say("Hi"),), 503, FailureKind.OVERLOADED, Billing.UNKNOWN),
        ((say("Hi"),), None, FailureKind.SERVER_ERROR, Billing.UNKNOWN),
    ],
)
def test_an_error_inside_a_stream_of_openai(before, code, kind, billing):
    found = chat(*before, event({"error": {"message": "secret", "code": code}}))
    assert (found.failure.kind, found.failure.billing) == (kind, billing)
    assert "secret" not in found.failure.message


START = event({"type": "message_start", "message": {"id": "1", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}})


def opened(index, kind="text", **more):
    return event({"type": "content_block_start", "index": index, "content_block": {"type": kind, **more}})


def grown(index, text, kind="text_delta", field="text"):
    return event({"type": "content_block_delta", "index": index, "delta": {"type": kind, field: text}})


def closed(index):
    return event({"type": "content_block_stop", "index": index})


def ended(stop="end_turn", **usage):
    return event({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 2, **usage}})


STOPPED = event({"type": "message_stop"})
BLOCK = (opened(0, text=""), grown(0, "Hi"), closed(0))


def message(*events):
    return folded(MessageFold(call(), "p"), *events)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((START, *BLOCK, ended(), STOPPED), id="all of it"),
        pytest.param((START, *BLOCK, ended()), id="no message_stop"),
        pytest.param((START, event({"type": "something_new"}), *BLOCK, ended(), STOPPED), id="an unknown event"),
        pytest.param((START, *BLOCK, ended(), ended(), STOPPED), id="cumulative usage told twice"),
        pytest.param((START, *BLOCK, opened(1, "server_tool_use"), closed(1), ended(), STOPPED), id="an unknown block"),
    ],
)
def test_a_whole_message(events):
    found = message(*events)
    assert isinstance(found, Completion)
    assert (found.output.content, found.usage.input_tokens, found.usage.output_tokens) == ("Hi", 3, 2)


def test_usage_that_comes_late_replaces_what_came_early():
    found = message(START, *BLOCK, ended(input_tokens=5, cache_read_input_tokens=4), STOPPED)
    assert (found.usage.input_tokens, found.usage.cache_read_input_tokens, found.usage.output_tokens) == (9, 4, 2)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param((START, START), id="two starts"),
        pytest.param((opened(0),), id="a block before the start"),
        pytest.param((START, opened(1)), id="a block skipped"),
        pytest.param((START, opened(0), opened(1)), id="a block inside a block"),
        pytest.param((START, grown(0, "Hi")), id="a delta before its block"),
        pytest.param((START, *BLOCK, grown(0, "Hi")), id="a delta after its block"),
        pytest.param((START, *BLOCK, closed(0)), id="a block closed twice"),
        pytest.param((START, opened(0), ended()), id="the end amid a block"),
        pytest.param((START, *BLOCK, ended(), opened(1)), id="a block after the end"),
        pytest.param((START, STOPPED), id="a stop before the end"),
        pytest.param((START, opened(0, "tool_use", id="t")), id="a tool without a name"),
        pytest.param(
            (
                START,
                opened(0, "tool_use", id="t", name="f"),
                grown(0, "{", "input_json_delta", "partial_json"),
                closed(0),
                ended("tool_use"),
            ),
            id="arguments that are no JSON",
        ),
    ],
)
def test_a_stream_of_anthropic_that_cannot_be(events):
    with pytest.raises(ProviderContractError):
        message(*events)


def test_arguments_that_the_model_was_not_allowed_to_finish_stay_as_they_are():
    cut = grown(0, '{"city": "Bo', "input_json_delta", "partial_json")
    found = message(START, opened(0, "tool_use", id="t", name="f"), cut, closed(0), ended("max_tokens"), STOPPED)
    assert found.output.tool_calls[0].arguments_json == '{"city": "Bo'
    assert found.output.finish_reason == "length"


def test_a_message_that_ends_early_tells_no_usage_because_it_told_only_a_part():
    found = message(START, opened(0), grown(0, "Hi"))
    assert (found.failure.kind, found.failure.billing, found.usage) == (FailureKind.INTERRUPTED, Billing.UNKNOWN, None)


def gemini(text="", finish=None, **more):
    candidate = {"content": {"parts": [{"text": text}]}} | ({"finishReason": finish} if finish else {})
    return event({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}, **more})


def test_content_after_geminis_finish_reason_cannot_be():
    with pytest.raises(ProviderContractError):
        folded(ContentFold(call(), "p"), gemini("H", "STOP"), gemini("i"))


def test_a_blocked_prompt_is_an_empty_answer_of_its_own_reason():
    found = folded(
        ContentFold(call(), "p"), event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}})
    )
    assert (found.output.content, found.output.finish_reason) == (None, "content_filter")
    assert (found.usage.input_tokens, found.usage.output_tokens) == (3, 0)


def test_geminis_usage_before_its_end_is_not_the_usage_of_the_call():
    fold = ContentFold(call(), "p")
    fold.add(gemini("Hi"))
    assert fold.usage is None
    assert fold.result().failure.kind is FailureKind.INTERRUPTED


def test_a_line_after_ollamas_last_cannot_be():
    line = json.dumps({"message": {"content": "Hi"}, "done": True, "eval_count": 1}).encode()
    fold = LineFold(call(), "p")
    fold.add(line)
    with pytest.raises(ProviderContractError):
        fold.add(line)


@pytest.mark.parametrize(
    ("pieces", "doubled"),
    [
        pytest.param("aabbcc", True, id="each twice"),
        pytest.param("aabbccdd", True, id="and longer"),
        pytest.param("aabb", False, id="so few may be chance"),
        pytest.param("aabbc", False, id="not the last"),
        pytest.param("abbccdd", False, id="not the first"),
        pytest.param("abcabc", False, id="twice, but not in a row"),
        pytest.param("aaaaaaaa", False, id="a model that is stuck"),
        pytest.param("aabbbbcc", False, id="a model that repeats itself in between"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_a_stream_of_nothing_but_pairs_was_doubled_on_the_way(pieces, doubled):
    repeats = Repeats()
    for piece in pieces:
        repeats.add(event(piece.encode()))
    assert repeats.doubled is doubled
