"""The shapes of the providers' exports, and whose tokens they count how."""

import json

import pytest

from processors.reconcile import aggregated, per_call
from processors.reconcile.formats import Shape, recognise
from processors.reconcile.lines import KeyKind, Told
from schemas.errors import SettingsError
from streams.reconcile.export import open_export

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_769_871_600,
    "model": "gpt-4o-mini-2024-07-18",
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 8},
    },
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_769_871_600,
    "model": "gpt-4o",
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 64},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 8},
        "total_tokens": 120,
    },
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "model": "claude-3-7-sonnet-20250219",
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 300,
        "cache_creation_input_tokens": 50,
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 5},
    },
}
GENERATED = {
    "responseId": "r-1",
    "modelVersion": "gemini-2.0-flash",
    "createTime": "2026-01-31T15:00:00.5Z",
    "usageMetadata": {
        "promptTokenCount": 90,
        "toolUsePromptTokenCount": 10,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 8,
    },
}
OPENAI_BUCKET = {
    "object": "bucket",
    "start_time": 1_769_871_600,
    "end_time": 1_769_875_200,
    "results": [
        {
            "object": "organization.usage.completions.result",
            "input_tokens": 1000,
            "output_tokens": 500,
            "input_cached_tokens": 800,
            "input_cache_write_tokens": 50,
            "num_model_requests": 5,
            "model": "gpt-4o-mini-2024-07-18",
        }
    ],
}
ANTHROPIC_BUCKET = {
    "starting_at": "2026-01-31T15:00:00Z",
    "ending_at": "2026-01-31T16:00:00Z",
    "results": [
        {
            "uncached_input_tokens": 1500,
            "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
            "cache_read_input_tokens": 200,
            "output_tokens": 500,
            "model": "claude-sonnet-4-20250514",
        }
    ],
}
OPENAI_BATCH = {"id": "b1", "custom_id": "a", "response": {"status_code": 200, "body": CHAT}, "error": None}
ANTHROPIC_BATCH = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}
SIMULATED = {"event": "arrived", "run": "r", "seq": 1}


@pytest.mark.parametrize(
    ("item", "shape"),
    [
        pytest.param(CHAT, Shape.OPENAI, id="chat completion"),
        pytest.param(RESPONSE, Shape.OPENAI, id="response"),
        pytest.param(OPENAI_BATCH, Shape.OPENAI, id="OpenAI batch"),
        pytest.param({"custom_id": "a", "response": None, "error": {"code": "x"}}, Shape.OPENAI, id="OpenAI batch error"),
        pytest.param(MESSAGE, Shape.ANTHROPIC, id="message"),
        pytest.param(ANTHROPIC_BATCH, Shape.ANTHROPIC, id="Anthropic batch"),
        pytest.param({"custom_id": "a", "result": {"type": "expired"}}, Shape.ANTHROPIC, id="Anthropic batch error"),
        pytest.param(GENERATED, Shape.GOOGLE, id="generateContent"),
        pytest.param({"key": "a", "response": GENERATED}, Shape.GOOGLE, id="Google batch"),
        pytest.param(OPENAI_BUCKET, Shape.OPENAI_USAGE, id="OpenAI usage"),
        pytest.param(ANTHROPIC_BUCKET, Shape.ANTHROPIC_USAGE, id="Anthropic usage"),
        pytest.param(SIMULATED, Shape.SIMULATOR, id="simulator"),
        pytest.param({"id": "x", "price": 3}, None, id="something else"),
        pytest.param([1], None, id="no object"),
    ],
)
def test_a_shape_is_recognised(item, shape):
    assert recognise(item) is shape


@pytest.mark.parametrize(
    ("shape", "item", "told"),
    [
        pytest.param(Shape.OPENAI, CHAT, Told(100, 20, 64, 16, 8), id="OpenAI includes what was cached"),
        pytest.param(Shape.OPENAI, RESPONSE, Told(100, 20, 64, None, 8), id="the responses API's names"),
        pytest.param(Shape.OPENAI, OPENAI_BATCH, Told(100, 20, 64, 16, 8), id="inside a batch line"),
        pytest.param(
            Shape.OPENAI,
            {"id": "d", "usage": {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}},
            Told(9, 1, 4),
            id="DeepSeek's name for cached tokens",
        ),
        pytest.param(Shape.OPENAI, {"id": "e", "usage": {"prompt_tokens": 9, "total_tokens": 9}}, Told(9, 0), id="embeddings"),
        pytest.param(Shape.ANTHROPIC, MESSAGE, Told(360, 20, 300, 50, 5), id="Anthropic leaves cached tokens out: added"),
        pytest.param(Shape.ANTHROPIC, ANTHROPIC_BATCH, Told(360, 20, 300, 50, 5), id="inside Anthropic's batch"),
        pytest.param(
            Shape.ANTHROPIC, {"id": "m", "usage": {"input_tokens": 7, "output_tokens": 0}}, Told(7, 0, 0, 0), id="zero is zero"
        ),
        pytest.param(Shape.GOOGLE, GENERATED, Told(100, 20, 30, None, 8), id="Gemini counts thoughts and tools beside"),
        pytest.param(
            Shape.GOOGLE,
            {"responseId": "r", "usageMetadata": {"promptTokenCount": 4}},
            Told(4, 0, 0, None, 0),
            id="left-out zeros",
        ),
    ],
)
def test_counts_are_made_inclusive(shape, item, told):
    assert per_call.read(shape, item, "p", "line 1").told == told


@pytest.mark.parametrize(
    ("shape", "item"),
    [
        pytest.param(Shape.OPENAI, {"custom_id": "a", "response": None, "error": {"code": "x"}}, id="failed in a batch"),
        pytest.param(Shape.OPENAI, RESPONSE | {"usage": None}, id="cancelled response"),
        pytest.param(Shape.ANTHROPIC, {"custom_id": "a", "result": {"type": "errored", "error": {}}}, id="errored in a batch"),
    ],
)
def test_what_was_not_billed_is_no_line(shape, item):
    assert per_call.read(shape, item, "p", "line 1") is None


@pytest.mark.parametrize(
    ("item", "kind", "name"),
    [
        pytest.param(CHAT, KeyKind.RESPONSE, "chatcmpl-1", id="the provider's id"),
        pytest.param(OPENAI_BATCH, KeyKind.RESPONSE, "chatcmpl-1", id="not the batch line's id"),
        pytest.param(CHAT | {"metadata": {"x-penstock-call-id": "c1"}}, KeyKind.CALL, "c1", id="our id in the metadata"),
        pytest.param(CHAT | {"headers": {"x-penstock-call-id": "c1"}}, KeyKind.CALL, "c1", id="our header in a gateway's log"),
        pytest.param(CHAT | {"call_id": "c1"}, KeyKind.CALL, "c1", id="our id beside it"),
    ],
)
def test_a_line_goes_by_our_call_id_where_it_has_one(item, kind, name):
    line = per_call.read(Shape.OPENAI, item, "openai", "line 1")
    assert (line.kind, line.id, line.model, line.at_us) == (kind, name, "gpt-4o-mini-2024-07-18", 1_769_871_600_000_000)


def test_times_are_read_in_every_form():
    assert per_call.read(Shape.GOOGLE, GENERATED, "google", "").at_us == 1_769_871_600_500_000
    assert per_call.read(Shape.ANTHROPIC, MESSAGE, "anthropic", "").at_us is None, "a message does not tell"


@pytest.mark.parametrize(
    "usage",
    [
        pytest.param({"prompt_tokens": -1, "completion_tokens": 0}, id="negative"),
        pytest.param({"prompt_tokens": 10**12, "completion_tokens": 0}, id="absurd"),
        pytest.param(
            {"prompt_tokens": 5, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 6}}, id="part above whole"
        ),
    ],
)
def test_counts_that_cannot_be_refuse_the_export(usage):
    with pytest.raises(SettingsError, match=r"line 7 .* cannot be"):
        per_call.read(Shape.OPENAI, {"id": "x", "usage": usage}, "openai", "line 7")


def test_an_object_without_an_id_refuses_the_export():
    with pytest.raises(SettingsError, match="has no id"):
        per_call.read(Shape.OPENAI, {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, "openai", "line 7")


def test_buckets_are_made_inclusive_too():
    (openai,) = aggregated.read(Shape.OPENAI_USAGE, OPENAI_BUCKET, "openai", "")
    (anthropic,) = aggregated.read(Shape.ANTHROPIC_USAGE, ANTHROPIC_BUCKET, "anthropic", "")
    assert (openai.told, openai.requests) == (Told(1000, 500, 800, 50), 5)
    assert (anthropic.told, anthropic.requests) == (Told(3200, 500, 200, 1500), None)
    assert (openai.start_us, openai.end_us) == (anthropic.start_us, anthropic.end_us)


def test_a_cost_report_is_no_usage_report():
    costs = OPENAI_BUCKET | {"results": [{"object": "organization.costs.result", "amount": {"value": 1}}]}
    with pytest.raises(SettingsError, match="export usage, not costs"):
        list(aggregated.read(Shape.OPENAI_USAGE, costs, "openai", "line 1"))


def test_a_bucket_without_times_is_refused():
    with pytest.raises(SettingsError, match="without its times"):
        list(aggregated.read(Shape.OPENAI_USAGE, OPENAI_BUCKET | {"end_time": None}, "openai", "line 1"))


class TestFiles:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(json.dumps(CHAT) + "\n\n" + json.dumps(CHAT | {"id": "2"}) + "\n", id="JSON lines"),
            pytest.param(json.dumps([CHAT, CHAT | {"id": "2"}]), id="a list"),
            pytest.param(json.dumps({"object": "list", "data": [CHAT, CHAT | {"id": "2"}]}, indent=2), id="a printed response"),
            pytest.param(
                "".join(json.dumps({"data": [c], "has_more": False}) + "\n" for c in (CHAT, CHAT | {"id": "2"})), id="pages"
            ),
        ],
    )
    def test_are_read_however_they_were_put_together(self, tmp_path, text):
        path = tmp_path / "export"
        path.write_text(text)
        export = open_export(path)
        assert (export.shape, export.provider, [line.id for line in export.lines()]) == (
            Shape.OPENAI,
            "openai",
            ["chatcmpl-1", "2"],
        )
        assert not export.more

    def test_say_when_more_pages_follow(self, tmp_path):
        path = tmp_path / "export"
        path.write_text(json.dumps({"data": [OPENAI_BUCKET], "has_more": True}))
        export = open_export(path, provider="azure")
        assert [bucket.provider for bucket in export.buckets()] == ["azure"]
        assert export.more

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            pytest.param('{"price": 3}', "no export that we know.*usage/completions", id="another object"),
            pytest.param("id,tokens\n1,2\n", "neither JSON nor JSON lines.*What can be read", id="CSV"),
            pytest.param("", "holds no lines", id="empty"),
            pytest.param('{"data": []}', "holds no lines", id="an empty page"),
        ],
    )
    def test_of_another_kind_name_the_formats(self, tmp_path, text, told):
        path = tmp_path / "export"
        path.write_text(text)
        with pytest.raises(SettingsError, match=told):
            open_export(path)

    def test_must_be_what_the_format_says(self, tmp_path):
        path = tmp_path / "export"
        path.write_text(json.dumps(CHAT))
        with pytest.raises(SettingsError, match="no anthropic export"):
            open_export(path, format_name="anthropic")
        with pytest.raises(SettingsError, match="--format takes auto, simulator, openai"):
            open_export(path, format_name="csv")

    def test_may_not_change_their_kind(self, tmp_path):
        path = tmp_path / "export"
        path.write_text(json.dumps(CHAT) + "\n" + json.dumps(MESSAGE) + "\n")
        with pytest.raises(SettingsError, match="line 2 is no object of the openai export"):
            list(open_export(path).lines())

    def test_that_are_not_there_are_named(self, tmp_path):
        with pytest.raises(SettingsError, match="cannot be read"):
            open_export(tmp_path / "missing")
