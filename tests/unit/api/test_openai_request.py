"""What OpenAI's clients send, as ours."""

import json
from typing import Any

import pytest

from processors.api.bad_request import BadRequest
from processors.api.openai_request import from_openai
from schemas.requests import InferenceRequest, Operation

CHAT: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


def read(url: str = "/v1/chat/completions", **body: Any) -> InferenceRequest:
    return from_openai(url, body, request_id="r1", tenant="acme")


def test_sampling_has_fields_of_its_own_and_the_rest_passes_through() -> None:
    request = read(**CHAT, temperature=0.5, max_completion_tokens=7, stop="END", seed=3, logit_bias={"1": 2}, user="ann")
    assert (request.sampling.temperature, request.sampling.max_output_tokens) == (0.5, 7)
    assert (request.sampling.stop, request.sampling.seed, request.user) == (("END",), 3, "ann")
    assert json.loads(request.extra_json or "") == {"logit_bias": {"1": 2}}


def test_tools_and_formats_are_kept_as_they_are() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    request = read(**CHAT, tools=[tool], tool_choice="required", response_format={"type": "json_object"})
    assert json.loads(request.tools_json or "") == [tool]
    assert json.loads(request.tool_choice_json or "") == "required"
    assert json.loads(request.response_format_json or "") == {"type": "json_object"}
    assert request.extra_json is None


def test_what_a_stream_tells_is_the_edges_matter() -> None:
    request = read(**CHAT, stream=True, stream_options={"include_usage": True})
    assert request.stream
    assert request.extra_json is None


def test_how_embeddings_are_written_is_the_edges_matter() -> None:
    request = read("/v1/embeddings", model="m", input=["a", "b"], encoding_format="base64", dimensions=8)
    assert (request.operation, request.input) == (Operation.EMBEDDINGS, ("a", "b"))
    assert json.loads(request.extra_json or "") == {"dimensions": 8}


@pytest.mark.parametrize(
    ("url", "body", "parameter"),
    [
        pytest.param("/v1/chat/completions", {**CHAT, "n": 2}, "n", id="several answers"),
        pytest.param("/v1/chat/completions", {**CHAT, "n": [1]}, "n", id="n is a list"),
        pytest.param("/v1/completions", {"model": "m", "prompt": "a", "best_of": 3}, "best_of", id="best of several"),
        pytest.param("/v1/chat/completions", {**CHAT, "functions": [{"name": "f"}]}, "functions", id="functions of old"),
        pytest.param("/v1/chat/completions", {**CHAT, "stream": "yes"}, "stream", id="stream is a text"),
        pytest.param("/v1/chat/completions", {**CHAT, "seed": 2**63}, "seed", id="too large a number"),
        pytest.param("/v1/chat/completions", {**CHAT, "max_tokens": True}, "max_tokens", id="a truth for a number"),
        pytest.param("/v1/chat/completions", {"model": "m"}, "messages", id="no messages"),
        pytest.param("/v1/chat/completions", {**CHAT, "model": ""}, "model", id="no model"),
        pytest.param("/v1/chat/completions", {**CHAT, "metadata": []}, "metadata", id="metadata is a list"),
        pytest.param("/v1/embeddings", {"model": "m", "input": [[1, 2]]}, "input", id="token numbers"),
        pytest.param("/v1/embeddings", {"model": "m", "input": "a", "stream": True}, "stream", id="streamed embeddings"),
    ],
)
def test_what_cannot_be_asked_names_its_field(url: str, body: dict[str, Any], parameter: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(url, **body)
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("Hi", id="a text"),
        pytest.param({"role": "user", "content": 7}, id="a number"),
        pytest.param({"role": "user", "content": ["Hi"]}, id="parts without a type"),
        pytest.param({"role": "assistant", "tool_calls": 7}, id="tool calls are a number"),
        pytest.param({"role": "assistant", "tool_calls": [{"id": "a"}]}, id="a tool call without a function"),
        pytest.param({"role": ["user"], "content": "Hi"}, id="the role is a list"),
    ],
)
def test_a_message_that_is_none_is_refused(message: Any) -> None:
    with pytest.raises(BadRequest, match="message 1"):
        read(model="m", messages=[message])


def test_a_body_that_nests_without_end_is_refused() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(BadRequest, match="nests"):
        read(**CHAT, tools=nested)
