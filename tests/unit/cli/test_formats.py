import io
import json

import pytest

from processors.api.bad_request import BadRequest
from schemas.requests import CacheMode, InferenceRequest, Operation, SpeedPriority, ToolCall
from streams.cli.formats import Defaults, Format, Parser, digest

DEFAULTS = Defaults(source="src", tenant="acme", model="auto")


def parse(*lines: str | bytes, form: Format = Format.AUTO) -> list[tuple[int, InferenceRequest | BadRequest]]:
    parser = Parser(form, DEFAULTS)
    raw = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return [(parsed.number, parsed.request) for line in raw if (parsed := parser.line(line)) is not None]


def one(line: str | bytes, form: Format = Format.AUTO) -> InferenceRequest:
    [(_, request)] = parse(line, form=form)
    assert isinstance(request, InferenceRequest), request
    return request


def bad(line: str | bytes, form: Format = Format.JSON) -> str:
    [(_, request)] = parse(line, form=form)
    assert isinstance(request, BadRequest)
    return str(request)


def batch(body: object, **change: object) -> str:
    line = {"custom_id": "c1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(line | change)


def test_plain_lines_are_prompts_numbered_with_blank_lines_counted():
    found = parse("one\n", "\n", "  two \r\n")
    assert [(number, r.request_id, r.messages[0].content) for number, r in found] == [(1, "src-1", "one"), (3, "src-3", "two")]
    assert {r.tenant for _, r in found} == {"acme"}


def test_the_first_line_that_is_not_blank_decides_for_all():
    text = parse("", "say {x}\n", '{"messages": []}\n')
    assert [r.messages[0].content for _, r in text] == ["say {x}", '{"messages": []}']
    mixed = parse("\n", '{"messages": [{"role": "user", "content": "a"}]}\n', "plain\n")
    assert isinstance(mixed[0][1], InferenceRequest)
    assert str(mixed[1][1]).startswith("no JSON")


def test_a_line_cut_short_is_bad_and_the_next_one_is_read():
    found = parse('{"messages": [{"role": "user", "con\n', '{"messages": [{"role": "user", "content": "b"}]}\n')
    assert isinstance(found[0][1], BadRequest)
    assert found[1][1].messages[0].content == "b"


def test_format_text_takes_json_as_a_prompt():
    assert one('{"a": 1}', form=Format.TEXT).messages[0].content == '{"a": 1}'


def test_a_byte_order_mark_does_not_hide_the_first_line():
    assert one(b'\xef\xbb\xbf{"messages": [{"role": "user", "content": "a"}]}').messages[0].content == "a"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\xff\xfe", "not UTF-8"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "no JSON"),
        ('{"messages": NaN', "no JSON"),
        ('{"mesages": []}', "there is no field `mesages`"),
        ('{"messages": [{"rol": "user"}]}', "there is no field `messages.rol`"),
        ('{"sampling": {"temprature": 1}}', "there is no field `sampling.temprature`"),
        ('{"sampling": {"temperature": "hot"}}', "sampling.temperature"),
        ('{"operation": "sing"}', "operation"),
        ('{"messages": "hello"}', "messages"),
        ('{"tenant": null}', "tenant"),
        ('{"deadline": "tomorrow"}', "deadline"),
    ],
)
def test_bad_lines_say_what_is_wrong(line, why):
    assert why in bad(line)


def test_a_bad_line_quotes_no_prompt():
    secret = "my secret prompt"
    assert secret not in bad(json.dumps({"messages": [{"role": "user", "content": [secret]}]}))
    assert secret not in bad(json.dumps({"messages": secret}))


def test_own_lines_take_every_field_and_json_under_the_short_name():
    request = one(
        json.dumps(
            {
                "request_id": "r1",
                "tenant": "birch",
                "user": "eva",
                "session": "s",
                "operation": "chat",
                "model": "m",
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "1", "name": "f", "arguments": {"city": "Oslo"}}]},
                    {"role": "tool", "tool_call_id": "1", "parts": [{"type": "text", "text": "4"}]},
                ],
                "sampling": {"temperature": 0.5, "stop": ["x"]},
                "tools": [{"type": "function"}],
                "response_format_json": '{"type":"json_object"}',
                "preferences": {"providers": ["openai"], "speed_priority": "fast"},
                "cache": {"mode": "off"},
                "stream": True,
                "deadline": "2026-01-31T15:00:00Z",
                "metadata": {"k": "v"},
            }
        )
    )
    assert (request.request_id, request.tenant, request.model) == ("r1", "birch", "m")
    assert request.messages[0].tool_calls == (ToolCall("1", "f", '{"city":"Oslo"}'),)
    assert request.messages[1].parts[0].text == "4"
    assert (request.tools_json, request.response_format_json) == ('[{"type":"function"}]', '{"type":"json_object"}')
    assert request.preferences.speed_priority is SpeedPriority.FAST
    assert request.cache.mode is CacheMode.OFF
    assert request.deadline.isoformat() == "2026-01-31T15:00:00+00:00"


def test_batch_chat():
    request = one(
        batch(
            {
                "model": "gpt-x",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "hi"},
                            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                        ],
                    },
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    {"role": "tool", "content": "4", "tool_call_id": "t"},
                ],
                "max_completion_tokens": 9,
                "temperature": 0,
                "stop": "END",
                "seed": 7,
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": "auto",
                "response_format": {"type": "json_object"},
                "stream": True,
                "stream_options": {"include_usage": True},
                "user": "ann",
                "metadata": {"a": "b"},
                "logprobs": True,
                "n": 1,
            }
        )
    )
    assert (request.request_id, request.tenant, request.model, request.user) == ("c1", "acme", "gpt-x", "ann")
    parts = request.messages[1].parts
    assert (parts[0].text, parts[1].image_url) == ("hi", "https://x/y.png")
    assert json.loads(parts[2].data_json)["image_url"]["detail"] == "low"
    assert request.messages[2].tool_calls == (ToolCall("t", "f", "{}"),)
    assert request.messages[3].tool_call_id == "t"
    assert (request.sampling.max_output_tokens, request.sampling.temperature, request.sampling.stop) == (9, 0, ("END",))
    assert request.stream is True
    assert json.loads(request.tools_json)[0]["function"]["name"] == "f"
    assert json.loads(request.tool_choice_json) == "auto"
    assert json.loads(request.extra_json) == {"logprobs": True}
    assert request.metadata == {"a": "b"}


def test_batch_completions_and_embeddings():
    completion = one(batch({"model": "m", "prompt": ["a"], "max_tokens": 3, "echo": True}, url="/v1/completions"))
    assert (completion.operation, completion.input) == (Operation.TEXT_COMPLETION, ("a",))
    assert (completion.sampling.max_output_tokens, completion.extra_json) == (3, '{"echo":true}')
    embedding = one(batch({"input": "a", "dimensions": 64}, url="/v1/embeddings"))
    assert (embedding.operation, embedding.input, embedding.model) == (Operation.EMBEDDINGS, ("a",), "auto")
    assert embedding.extra_json == '{"dimensions":64}'


def test_a_batch_line_without_an_id_gets_one_of_the_file_and_line():
    line = json.dumps({"method": "POST", "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "a"}]}})
    assert one(line).request_id == "src-1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (batch({"messages": []}), "at least one message"),
        (batch("x"), "`body` must be an object"),
        (batch({"messages": [{"role": "user"}]}, url="/v1/responses"), "not supported"),
        (batch({"messages": [{"role": "user"}]}, method="GET"), "must be POST"),
        (batch({"messages": [{"content": "a"}]}), "message 1: `role`"),
        (batch({"messages": [{"role": "user", "content": 3}]}), "message 1: `content`"),
        (batch({"messages": [{"role": "a", "tool_calls": [{"id": 1}]}]}), "a tool call needs"),
        (batch({"messages": [{"role": "user"}], "temperature": "hot"}), "`temperature` must be a number"),
        (batch({"messages": [{"role": "user"}], "max_tokens": 1.5}), "`max_tokens` must be a whole number"),
        (batch({"messages": [{"role": "user"}], "seed": True}), "`seed` must be a whole number"),
        (batch({"messages": [{"role": "user"}], "stream": "yes"}), "`stream` must be"),
        (batch({"input": [1, 2]}, url="/v1/embeddings"), "token numbers"),
        (batch({"prompt": ["a", "b"]}, url="/v1/completions"), "takes one text"),
        (batch({"messages": [{"role": "singer", "content": "a"}]}), "role"),
        (batch({"messages": [{"role": "user"}]}, custom_id=""), "custom_id"),
        (batch({"messages": [{"role": "user"}], "model": 7}), "model"),
    ],
)
def test_bad_batch_lines_say_what_is_wrong(line, why):
    assert why in bad(line)


def test_the_digest_tells_files_and_options_apart():
    same = digest(io.BytesIO(b"a\n"), ("acme", "auto"))
    assert same == digest(io.BytesIO(b"a\n"), ("acme", "auto"))
    assert len({same, digest(io.BytesIO(b"b\n"), ("acme", "auto")), digest(io.BytesIO(b"a\n"), ("acme", "m"))}) == 3
