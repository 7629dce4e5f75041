"""The official OpenAI SDK against the simulator: what it parses, and which of its errors each fault becomes."""

import json
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from streams.simulator.running import Running

USER: Any = {"role": "user", "content": "What is a penstock?"}
ASKED: Any = {"role": "user", "content": "[[sim in=4808 out=10]]"}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def test_chat(openai: AsyncOpenAI) -> None:
    raw = await openai.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=[USER])
    reply = raw.parse()
    ChatCompletion.model_validate_json(raw.content, strict=True)
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == 8
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    again = await openai.chat.completions.create(model="gpt-4o-mini", messages=[USER])
    assert (again.choices[0].message.content, again.usage) == (reply.choices[0].message.content, reply.usage)
    assert again.id != reply.id


async def test_stream_with_usage(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="gpt-4o", messages=[ASKED], stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.model_dump_json(), strict=True)
    whole = await openai.chat.completions.create(model="gpt-4o", messages=[ASKED])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (4808, 10)


async def test_a_stream_says_no_usage_unless_asked(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="gpt-4o", messages=[USER], stream=True)
    assert [chunk.usage async for chunk in stream if chunk.usage is not None] == []


async def test_a_limit_ends_with_length(openai: AsyncOpenAI) -> None:
    reply = await openai.chat.completions.create(model="gpt-4o", messages=[USER], max_completion_tokens=5)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "weather"}}])
async def test_tool_call(openai: AsyncOpenAI, choice: Any) -> None:
    reply = await openai.chat.completions.create(model="gpt-4o", messages=[USER], tools=[WEATHER], tool_choice=choice)
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    assert reply.choices[0].finish_reason == "tool_calls"


async def test_streamed_tool_call(openai: AsyncOpenAI) -> None:
    async with openai.chat.completions.stream(model="gpt-4o", messages=[USER], tools=[WEATHER], tool_choice="required") as stream:
        final = await stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city"}


class Verdict(BaseModel):
    spam: bool
    score: int
    words: list[str]


async def test_structured_output_fits_its_model(openai: AsyncOpenAI) -> None:
    reply = await openai.chat.completions.parse(model="gpt-4o", messages=[USER], response_format=Verdict)
    assert isinstance(reply.choices[0].message.parsed, Verdict)
    plain = await openai.chat.completions.create(model="gpt-4o", messages=[USER], response_format={"type": "json_object"})
    assert isinstance(json.loads(plain.choices[0].message.content or ""), dict)


async def test_completions(openai: AsyncOpenAI) -> None:
    reply = await openai.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once upon a time", max_tokens=7)
    Completion.model_validate_json(reply.model_dump_json(), strict=True)
    assert reply.choices[0].text
    assert reply.choices[0].finish_reason == "length"
    stream = await openai.completions.create(model="gpt-3.5-turbo-instruct", prompt="Once", max_tokens=7, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream])


async def test_embeddings_in_base64_and_as_numbers(openai: AsyncOpenAI) -> None:
    inputs = ["a red cat", "a red dog", "tax law"]
    packed = await openai.embeddings.create(model="text-embedding-3-small", input=inputs)
    CreateEmbeddingResponse.model_validate_json(packed.model_dump_json(), strict=True)
    plain = await openai.embeddings.create(model="text-embedding-3-small", input=inputs, encoding_format="float")
    assert [len(item.embedding) for item in packed.data] == [1536] * 3
    assert packed.data[2].embedding == pytest.approx(plain.data[2].embedding, abs=1e-6)
    assert packed.usage.prompt_tokens == 3 + 3 + 2
    small = await openai.embeddings.create(model="text-embedding-3-small", input="x", dimensions=64)
    assert len(small.data[0].embedding) == 64
    ids = await openai.embeddings.create(model="text-embedding-3-small", input=[[1, 22, 333]])
    assert ids.usage.prompt_tokens == 3


async def test_the_sdks_aiohttp_transport(simulator: Running) -> None:
    url = f"{simulator.url_of('openai')}/v1"
    async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0, http_client=sdk.DefaultAioHttpClient()) as client:
        whole = await client.chat.completions.create(model="gpt-4o", messages=[ASKED])
        stream = await client.chat.completions.create(model="gpt-4o", messages=[ASKED], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == whole.choices[0].message.content
        for fault in ("reset_before_reply", "reset_mid_body", "eof_mid_body"):
            with pytest.raises(sdk.APIConnectionError):
                await client.chat.completions.create(model="gpt-4o", messages=[ASKED], extra_headers={"x-sim-fault": fault})


async def test_models(openai: AsyncOpenAI) -> None:
    assert "gpt-4o-mini" in [model.id async for model in openai.models.list()]


async def test_the_openai_paths_of_google_and_ollama(simulator: Running) -> None:
    for url in (f"{simulator.url_of('google')}/v1beta/openai", f"{simulator.url_of('ollama')}/v1"):
        async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:
            reply = await client.chat.completions.create(model="some-model", messages=[USER])
            assert reply.choices[0].message.content
            with pytest.raises(sdk.RateLimitError):
                await client.chat.completions.create(model="m", messages=[USER], extra_headers={"x-sim-fault": "http_429"})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("http_400", sdk.BadRequestError),
        ("http_401", sdk.AuthenticationError),
        ("http_403", sdk.PermissionDeniedError),
        ("http_404", sdk.NotFoundError),
        ("http_429:7", sdk.RateLimitError),
        ("http_500", sdk.InternalServerError),
        ("http_502", sdk.InternalServerError),
        ("http_503", sdk.InternalServerError),
        ("http_529", sdk.InternalServerError),
        ("context_too_long", sdk.BadRequestError),
        ("reset_before_reply", sdk.APIConnectionError),
        ("reset_mid_body", sdk.APIConnectionError),
        ("eof_mid_body", sdk.APIConnectionError),
    ],
)
async def test_errors(openai: AsyncOpenAI, fault: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await openai.chat.completions.create(model="gpt-4o", messages=[USER], extra_headers={"x-sim-fault": fault})
    if fault == "http_429:7":
        assert isinstance(caught.value, sdk.RateLimitError)
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"
    if fault == "context_too_long":
        assert isinstance(caught.value, sdk.BadRequestError)
        assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("fault", ["hang", "slow_body:1"])
async def test_silence_and_dripping_run_into_the_timeout(openai: AsyncOpenAI, fault: str) -> None:
    with pytest.raises(sdk.APITimeoutError):
        await openai.with_options(timeout=0.3).chat.completions.create(
            model="gpt-4o", messages=[USER], extra_headers={"x-sim-fault": fault}
        )


@pytest.mark.parametrize("fault", ["truncated_stream", "malformed_json", "error_event", "reset_mid_body", "eof_mid_body"])
async def test_broken_streams_are_seen_to_be_broken(openai: AsyncOpenAI, fault: str) -> None:
    stream = await openai.chat.completions.create(
        model="gpt-4o", messages=[ASKED], stream=True, extra_headers={"x-sim-fault": fault}
    )
    try:
        chunks = [chunk async for chunk in stream]
    except (sdk.APIError, json.JSONDecodeError):
        return
    assert fault == "truncated_stream"  # the SDK takes the end of the body for the end of the stream
    assert not any(chunk.choices[0].finish_reason for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("fault", ["split_utf8", "crlf"])
async def test_streams_that_are_only_framed_badly_lose_nothing(openai: AsyncOpenAI, fault: str) -> None:
    asked: Any = {"role": "user", "content": "[[sim out=200]]"}
    whole = await openai.chat.completions.create(model="gpt-4o", messages=[asked])
    stream = await openai.chat.completions.create(
        model="gpt-4o", messages=[asked], stream=True, extra_headers={"x-sim-fault": fault}
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content
    assert not text.isascii()


async def test_a_fault_can_be_asked_for_in_the_message(openai: AsyncOpenAI) -> None:
    with pytest.raises(sdk.InternalServerError):
        await openai.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "[[sim fault=http_503]] hello"}]
        )
