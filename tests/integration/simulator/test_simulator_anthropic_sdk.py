"""The official Anthropic SDK against the simulator."""

from typing import Any

import anthropic as sdk
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import Message

USER: Any = {"role": "user", "content": "What is a penstock?"}
CACHED: Any = {"role": "user", "content": "[[sim in=12400 cache_read=93 cache_write=12304 out=550]]"}
WEATHER: Any = {
    "name": "weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
}


async def test_message(anthropic: AsyncAnthropic) -> None:
    raw = await anthropic.messages.with_raw_response.create(model="claude-haiku-5-5", max_tokens=500, messages=[USER])
    reply = await raw.parse()
    Message.model_validate_json(await raw.read(), strict=True)
    assert reply.content[0].type == "text"
    assert reply.content[0].text
    assert reply.stop_reason == "end_turn"
    assert reply.usage.input_tokens == 8
    assert reply.usage.cache_creation_input_tokens == 0
    system = await anthropic.messages.create(
        model="claude-haiku-5-5", max_tokens=3, system=[{"type": "text", "text": "x" * 40}], messages=[USER]
    )
    assert (system.usage.input_tokens, system.usage.output_tokens, system.stop_reason) == (18, 3, "max_tokens")


async def test_stream_with_cumulative_usage_and_cache_tokens(anthropic: AsyncAnthropic) -> None:
    async with anthropic.messages.stream(model="claude-haiku-5-5", max_tokens=999, messages=[CACHED]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_message()
    whole = await anthropic.messages.create(model="claude-haiku-5-5", max_tokens=999, messages=[CACHED])
    assert final.content[0].type == whole.content[0].type == "text"
    assert final.content[0].text == whole.content[0].text
    usage = final.usage
    assert (usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens) == (3, 12304, 93)
    assert usage.output_tokens == 550
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"


async def test_raw_events_say_the_usage_twice_so_that_adding_it_up_is_wrong(anthropic: AsyncAnthropic) -> None:
    stream = await anthropic.messages.create(model="claude-haiku-5-5", max_tokens=999, messages=[CACHED], stream=True)
    events = [event async for event in stream]
    starts = [event.message.usage for event in events if event.type == "message_start"]
    ends = [event.usage for event in events if event.type == "message_delta"]
    assert [(u.input_tokens, u.output_tokens) for u in starts] == [(3, 1)]
    assert [(u.input_tokens, u.output_tokens) for u in ends] == [(3, 550)]


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
async def test_tool_use(anthropic: AsyncAnthropic, choice: Any) -> None:
    body: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 99, "messages": [USER], "tools": [WEATHER]}
    reply = await anthropic.messages.create(**body, tool_choice=choice)
    async with anthropic.messages.stream(**body, tool_choice=choice) as stream:
        streamed = await stream.get_final_message()
    for message in (reply, streamed):
        (block,) = message.content
        assert block.type == "tool_use"
        assert block.name == "weather"
        assert isinstance(block.input["days"], int)
        assert message.stop_reason == "tool_use"


async def test_count_tokens_and_models(anthropic: AsyncAnthropic) -> None:
    count = await anthropic.messages.count_tokens(model="claude-haiku-5-5", messages=[USER])
    assert count.input_tokens == 8
    assert "claude-haiku-5-5" in [model.id async for model in anthropic.models.list()]


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("http_400", sdk.BadRequestError, "invalid_request_error"),
        ("http_401", sdk.AuthenticationError, "authentication_error"),
        ("http_403", sdk.PermissionDeniedError, "permission_error"),
        ("http_404", sdk.NotFoundError, "not_found_error"),
        ("http_429:-1", sdk.RateLimitError, "rate_limit_error"),
        ("http_500", sdk.InternalServerError, "api_error"),
        ("http_503", sdk.InternalServerError, "api_error"),
        ("http_529", sdk.InternalServerError, "overloaded_error"),
        ("context_too_long", sdk.BadRequestError, "invalid_request_error"),
    ],
)
async def test_errors(anthropic: AsyncAnthropic, fault: str, error: type[sdk.APIStatusError], kind: str) -> None:
    with pytest.raises(error) as caught:
        await anthropic.messages.create(
            model="claude-haiku-5-5", max_tokens=9, messages=[USER], extra_headers={"x-sim-fault": fault}
        )
    body: Any = caught.value.body
    assert body["error"]["type"] == kind
    assert caught.value.response.headers.get("retry-after") == ("-1" if "429" in fault else None)
    assert caught.value.request_id


@pytest.mark.parametrize("fault", ["reset_before_reply", "reset_mid_body", "eof_mid_body"])
async def test_lost_connections(anthropic: AsyncAnthropic, fault: str) -> None:
    with pytest.raises(sdk.APIConnectionError):
        await anthropic.messages.create(
            model="claude-haiku-5-5", max_tokens=9, messages=[USER], extra_headers={"x-sim-fault": fault}
        )


async def test_an_error_event_in_a_stream(anthropic: AsyncAnthropic) -> None:
    stream = await anthropic.messages.create(
        model="claude-haiku-5-5", max_tokens=99, messages=[USER], stream=True, extra_headers={"x-sim-fault": "error_event"}
    )
    with pytest.raises(sdk.APIStatusError, match="Overloaded"):
        [event async for event in stream]
