"""The official SDKs over the edge's faces, in process: their exception classes, their stream helpers, their strict types."""

from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from processors.api.refusals import Refusal
from schemas.calls import Output
from streams.edge.principal import Refused
from tests.unit.api.faces import Played, app
from tests.unit.api.made import CALLS, chunk, failed, response, tool_delta, tools

CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Name a river."}]}
Ask = Callable[[Played, str], Awaitable[Any]]


def http(played: Played) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app(played), raise_app_exceptions=False))


def openai_client(played: Played, key: str = "all", **options: Any) -> openai.AsyncOpenAI:
    given = {"max_retries": 0, "_strict_response_validation": True, **options}
    return openai.AsyncOpenAI(base_url="http://edge/v1", api_key=key, http_client=http(played), **given)


def anthropic_client(played: Played, key: str = "all", **options: Any) -> anthropic.AsyncAnthropic:
    given = {"max_retries": 0, "_strict_response_validation": True, **options}
    return anthropic.AsyncAnthropic(base_url="http://edge", api_key=key, http_client=http(played), **given)


async def chat(played: Played, key: str = "all", **more: Any) -> Any:
    return await openai_client(played, key).chat.completions.create(**{**CHAT, **more})


async def respond(played: Played, key: str = "all", **more: Any) -> Any:
    return await openai_client(played, key).responses.create(**{"model": "auto", "input": "Name a river.", **more})


async def message(played: Played, key: str = "all", **more: Any) -> Any:
    return await anthropic_client(played, key).messages.create(**{**CHAT, "max_tokens": 9, **more})


class Refusing(Played):
    """Publishes nothing, for this reason."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal

    async def publish(self, *_: Any) -> Played:
        raise Refused(self.refusal)


@pytest.mark.parametrize(
    ("played", "key", "ours", "theirs", "status"),
    [
        pytest.param(Refusing(Refusal(400, "bad", "why")), "all", "BadRequestError", "BadRequestError", 400, id="400"),
        pytest.param(Played(), "nobody", "AuthenticationError", "AuthenticationError", 401, id="401"),
        pytest.param(Played(), "reader", "PermissionDeniedError", "PermissionDeniedError", 403, id="403"),
        pytest.param(Played((failed("unknown_model"),)), "all", "NotFoundError", "NotFoundError", 404, id="404"),
        pytest.param(Refusing(Refusal(409, "in_flight", "why")), "all", "ConflictError", "ConflictError", 409, id="409"),
        pytest.param(Refusing(Refusal(413, "large", "why")), "all", "APIStatusError", "ContentTooLargeError", 413, id="413"),
        pytest.param(
            Refusing(Refusal(422, "key_reused", "why")),
            "all",
            "UnprocessableEntityError",
            "UnprocessableEntityError",
            422,
            id="422",
        ),
        pytest.param(Played((failed("limited"),)), "all", "RateLimitError", "RateLimitError", 429, id="429"),
        pytest.param(Played((failed("cancelled"),)), "all", "APIStatusError", "ClientClosedRequestError", 499, id="499"),
        pytest.param(Played((failed("server_error"),)), "all", "InternalServerError", "InternalServerError", 502, id="502"),
        pytest.param(Played((failed("overloaded"),)), "all", "InternalServerError", "OverloadedError", 503, id="503"),
        pytest.param(Played((failed("expired"),)), "all", "InternalServerError", "GatewayTimeoutError", 504, id="504"),
        pytest.param(Played(()), "all", "InternalServerError", "InternalServerError", 500, id="500"),
    ],
)
async def test_every_error_is_the_sdks_own_class(played: Played, key: str, ours: str, theirs: str, status: int) -> None:
    for ask in (chat, respond):
        with pytest.raises(openai.APIStatusError) as raised:
            await ask(played, key)
        assert type(raised.value).__name__ == ours
        assert (raised.value.status_code, raised.value.request_id) == (status, raised.value.response.headers["x-request-id"])
        assert raised.value.code is not None
    with pytest.raises(anthropic.APIStatusError) as failure:
        await message(played, key)
    assert type(failure.value).__name__ == theirs
    assert failure.value.status_code == (529 if status == 503 else status)
    assert failure.value.request_id is not None


@pytest.mark.parametrize(("retryable", "asked"), [(True, 3), (False, 1)])
async def test_the_sdks_try_again_only_what_may_be_tried_again(
    retryable: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_delay: float) -> None:
        pass

    monkeypatch.setattr("anyio.sleep", at_once)
    for client_of in (openai_client, anthropic_client):
        played = Played((failed("server_error", retryable=retryable),))
        client: Any = client_of(played, max_retries=2)
        with pytest.raises((openai.InternalServerError, anthropic.InternalServerError)):
            await (client.chat.completions if client_of is openai_client else client.messages).create(**CHAT, max_tokens=9)
        assert len(played.asked) == asked


@pytest.mark.parametrize("ask", [chat, message])
async def test_an_error_inside_a_stream_is_raised(ask: Ask) -> None:
    stream = await ask(Played((chunk(0, content="Dan"), failed("overloaded"))), stream=True)  # type: ignore[call-arg]
    with pytest.raises((openai.APIError, anthropic.APIError), match="it was overloaded"):
        async for _ in stream:
            pass


async def test_an_error_inside_a_response_stream_is_an_event() -> None:
    stream = await respond(Played((chunk(0, content="Dan"), failed("rate_limited"))), stream=True)
    *_, last = [event async for event in stream]
    assert (last.type, last.response.error.code) == ("response.failed", "rate_limit_exceeded")


PIECES = (
    chunk(0, reasoning="Hm."),
    chunk(1, content="Dan"),
    chunk(2, content="ube"),
    chunk(3, tool_calls_json=tools(tool_delta(0, "", CALLS[0]))),
    chunk(4, tool_calls_json=tools(tool_delta(0, CALLS[0].arguments_json))),
    chunk(5, tool_calls_json=tools(tool_delta(1, CALLS[1].arguments_json, CALLS[1]))),
    response(Output(content="Danube", reasoning="Hm.", tool_calls=CALLS, finish_reason="tool_calls")),
)
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}


async def test_the_stream_helper_of_chats() -> None:
    client = openai_client(Played(PIECES))
    asked = client.chat.completions.stream(**CHAT, stream_options={"include_usage": True})
    async with asked as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert {"content.delta", "content.done", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    assert final.choices[0].message.content == "Danube"
    assert [c.function.arguments for c in final.choices[0].message.tool_calls or ()] == [c.arguments_json for c in CALLS]
    assert final.usage is not None
    assert final.usage.total_tokens == 42


async def test_the_stream_helper_of_responses() -> None:
    client = openai_client(Played(PIECES))
    asked = client.responses.stream(model="auto", input="Name a river.", tools=[{"type": "function", "strict": False, **TOOL}])
    async with asked as stream:
        text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
        final = await stream.get_final_response()
    assert text == final.output_text == "Danube"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]
    assert final.usage is not None
    assert final.usage.total_tokens == 42


async def test_the_stream_helper_of_messages() -> None:
    async with anthropic_client(Played(PIECES)).messages.stream(**CHAT, max_tokens=9) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        final = await stream.get_final_message()
        assert stream.request_id == final.id
    assert text == "Danube"
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"city": "Ulm"}, {"zone": "CET"}]
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("tool_use", 20, 12)


async def test_whole_answers_are_of_the_sdks_strict_types() -> None:
    output = Output(content="Danube", reasoning="Hm.", tool_calls=CALLS, finish_reason="tool_calls")
    played = Played((response(output),))
    chatted, responded, said = await chat(played), await respond(played), await message(played)
    assert chatted.choices[0].message.content == responded.output_text == said.content[1].text == "Danube"
    assert said._request_id == said.id
    assert responded._request_id == responded.id


async def test_a_response_that_is_not_kept_cannot_be_gone_on_from() -> None:
    with pytest.raises(openai.BadRequestError, match="send the earlier items") as raised:
        await respond(Played(), previous_response_id="resp_1")
    assert raised.value.param == "previous_response_id"


async def test_models_page_in_both_sdks() -> None:
    assert [m.id async for m in openai_client(Played()).models.list()] == [
        m.id async for m in anthropic_client(Played()).models.list()
    ]
