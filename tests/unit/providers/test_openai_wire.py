import json

import pytest

from processors.providers.contract import Completion, Failed
from processors.providers.openai_wire import Dialect, dialect_of, from_wire, to_wire, usage_from
from processors.providers.prompts import Unaskable
from schemas.calls import Billing, FailureKind, UsageSource
from schemas.requests import ContentPart, Message, Operation, Sampling, ToolCall
from tests.unit.providers.calls import call, order

PLAIN = Dialect()
OWN = dialect_of("https://api.openai.com/v1")
TOOLS = json.dumps([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}])


def wire(asked, dialect=PLAIN, *, stream=False):
    return to_wire(asked, dialect, stream=stream)


def test_a_chat_is_sent_as_it_was_asked():
    asked = call(
        messages=(
            Message("system", "Be brief."),
            Message("user", parts=(ContentPart("text", "See:"), ContentPart("image_url", image_url="https://x/y.png"))),
            Message("assistant", tool_calls=(ToolCall("t1", "weather", '{"city":"Bonn"}'),)),
            Message("tool", "rain", tool_call_id="t1"),
        ),
        sampling=Sampling(temperature=0.5, max_output_tokens=50, stop=("END",), seed=7),
        tools_json=TOOLS,
        tool_choice_json='"required"',
        response_format_json='{"type":"json_object"}',
        extra_json='{"logit_bias":{"1":2},"model":"another","stream":true,"max_completion_tokens":9999}',
    )
    path, body = wire(asked)
    assert path == "/chat/completions"
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "See:"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}],
            },
            {
                "role": "assistant",
                "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}],
            },
            {"role": "tool", "content": "rain", "tool_call_id": "t1"},
        ],
        "temperature": 0.5,
        "stop": ["END"],
        "seed": 7,
        "max_tokens": 50,
        "tools": json.loads(TOOLS),
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "logit_bias": {"1": 2},
    }


@pytest.mark.parametrize(("asked", "bound", "sent"), [(None, 100, 100), (50, 100, 50), (500, 100, 100), (None, 0, None)])
def test_the_bound_of_the_order_is_always_sent(asked, bound, sent):
    _, body = wire(call(bound=bound, sampling=Sampling(max_output_tokens=asked)))
    assert body.get("max_tokens") == sent


def test_openai_itself_names_the_bound_otherwise():
    _, body = wire(call(), OWN)
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 100


@pytest.mark.parametrize(
    ("model", "dialect", "tools", "sent"),
    [
        pytest.param("gpt-4o-mini", OWN, None, (0.5, None), id="no reasoning model"),
        pytest.param("gpt-6-luna", OWN, None, (None, None), id="reasoning model"),
        pytest.param("gpt-6-luna", OWN, TOOLS, (0.5, "none"), id="reasoning model, tools"),
        pytest.param("o4-mini", OWN, TOOLS, (None, None), id="older reasoning model, tools"),
        pytest.param("gpt-6-luna", PLAIN, TOOLS, (0.5, None), id="somebody else's server"),
    ],
)
def test_reasoning_models_of_openai_get_no_sampling_and_no_reasoning_beside_tools(model, dialect, tools, sent):
    _, body = wire(call(model=model, sampling=Sampling(temperature=0.5), tools_json=tools), dialect)
    assert (body.get("temperature"), body.get("reasoning_effort")) == sent


def test_streams_ask_for_usage():
    _, body = wire(call(), stream=True)
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("dialect", "model", "path"),
    [
        (PLAIN, "m", "/completions"),
        (OWN, "gpt-6-luna", "/chat/completions"),
        (OWN, "gpt-3.5-turbo-instruct", "/completions"),
        (dialect_of("https://api.deepseek.com"), "deepseek-v4-flash", "/chat/completions"),
    ],
)
def test_a_text_completion_is_a_chat_where_its_endpoint_is_closed(dialect, model, path):
    found, body = wire(call(Operation.TEXT_COMPLETION, model=model), dialect)
    assert found == path
    assert body.get("prompt") == ("Hello" if path == "/completions" else None)
    assert body.get("messages") == (None if path == "/completions" else [{"role": "user", "content": "Hello"}])


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(call(extra_json="[1]"), id="extra is no object"),
        pytest.param(call(tools_json="{"), id="tools are no JSON"),
        pytest.param(call(Operation.EMBEDDINGS, input=()), id="nothing to embed"),
        pytest.param(call(Operation.TEXT_COMPLETION, input=()), id="no prompt"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anything_is_sent(asked):
    with pytest.raises(Unaskable):
        wire(asked)


def reply(**message):
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return {"id": "x1", "model": "m-1", "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 4}}


def test_a_whole_reply():
    found = from_wire(call(), reply(content="Hi", reasoning_content="Hm"), provider="p")
    assert isinstance(found, Completion)
    output, usage = found.output, found.usage
    assert (output.content, output.reasoning, output.finish_reason, output.response_model) == ("Hi", "Hm", "stop", "m-1")
    assert (usage.input_tokens, usage.output_tokens, usage.clamped) == (10, 4, False)


@pytest.mark.parametrize(
    ("broken", "billing"),
    [
        pytest.param({"choices": []}, Billing.UNKNOWN, id="no choices, no usage"),
        pytest.param({**reply(), "choices": None}, Billing.BILLED, id="no choices, usage"),
        pytest.param({**reply(), "choices": [{"message": "Hi"}]}, Billing.BILLED, id="a message that is none"),
        pytest.param(reply(content=7), Billing.BILLED, id="content that is no text"),
        pytest.param(reply(tool_calls=[{"id": "t"}]), Billing.BILLED, id="a tool call without a function"),
    ],
)
def test_a_malformed_reply_is_named_and_charged_when_it_told_its_usage(broken, billing):
    found = from_wire(call(), broken, provider="p")
    assert isinstance(found, Failed)
    assert found.failure.kind is FailureKind.MALFORMED_REPLY
    assert found.failure.billing is billing
    assert (found.usage is not None) == (billing is Billing.BILLED)


def embedding_reply(*vectors, **more):
    return {"data": [{"index": i, "embedding": v} for i, v in vectors], "model": "e", **more}


def test_embeddings_come_in_the_order_of_their_inputs():
    asked = call(Operation.EMBEDDINGS, input=("a", "b"))
    found = from_wire(asked, embedding_reply((1, [2.0]), (0, [1]), usage={"prompt_tokens": 2, "total_tokens": 2}), provider="p")
    assert found.output.embeddings == ((1.0,), (2.0,))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (2, 0)


def test_embeddings_in_base64_are_read_too():
    found = from_wire(call(Operation.EMBEDDINGS), embedding_reply((0, "AACAPwAAAEA=")), provider="p")
    assert found.output.embeddings == ((1.0, 2.0),)


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param([], id="none"),
        pytest.param([(0, [1.0]), (1, [1.0])], id="too many"),
        pytest.param([(0, ["1"])], id="texts"),
        pytest.param([(0, [])], id="empty"),
        pytest.param([(0, "!!")], id="no base64"),
    ],
)
def test_embeddings_that_cannot_be_are_malformed(vectors):
    found = from_wire(call(Operation.EMBEDDINGS), embedding_reply(*vectors), provider="p")
    assert found.failure.kind is FailureKind.MALFORMED_REPLY


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(None, None, id="missing"),
        pytest.param({}, None, id="empty"),
        pytest.param({"prompt_tokens": 5}, None, id="no output count"),
        pytest.param({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, 0, 0, False), id="zero stays zero"),
        pytest.param({"prompt_tokens": -1, "completion_tokens": -1}, (20, 100, 0, 0, True), id="negative"),
        pytest.param({"prompt_tokens": 10**12, "completion_tokens": 10**12}, (20, 100, 0, 0, True), id="absurd"),
        pytest.param({"prompt_tokens": "5", "completion_tokens": "5"}, None, id="texts"),
        pytest.param(
            {
                "prompt_tokens": 50,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 30},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            (50, 9, 30, 4, False),
            id="parts are inside the whole",
        ),
        pytest.param(
            {"prompt_tokens": 50, "completion_tokens": 9, "prompt_cache_hit_tokens": 30}, (50, 9, 30, 0, False), id="DeepSeek"
        ),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 30}},
            (5, 9, 5, 0, True),
            id="part over whole",
        ),
    ],
)
def test_usage(told, expected):
    usage = usage_from(order(), told)
    found = usage and (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.reasoning_tokens,
        usage.clamped,
    )
    assert found == expected


def test_tokens_written_to_the_cache_are_part_of_the_input():
    details = {"cached_tokens": 30, "cache_write_tokens": 15}
    usage = usage_from(order(), {"prompt_tokens": 50, "completion_tokens": 9, "prompt_tokens_details": details})
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_write_input_tokens) == (50, 30, 15)


def test_missing_input_beside_known_output_is_estimated_and_says_so():
    usage = usage_from(order(), {"completion_tokens": 9})
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (20, 9, UsageSource.ESTIMATED)
