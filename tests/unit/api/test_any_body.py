"""Whatever JSON is sent, it is a request or a BadRequest: nothing else is raised, and what is read can be judged and published.

The bodies are whole ones in which up to three values, wherever they stand, were taken out or changed for others.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.api.anthropic_request import from_anthropic
from processors.api.bad_request import BadRequest
from processors.api.openai_request import from_batch, from_openai
from processors.api.responses_request import from_responses
from processors.api.responses_response import Answering
from processors.classify import tokens
from processors.classify.validate import problems
from schemas.requests import InferenceRequest
from schemas.serde import Serde
from tests.unit.api.made import NAMED

Read = Callable[[Mapping[str, Any]], InferenceRequest]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
SAMPLING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 1,
    "seed": 3,
    "stop": ["a"],
    "n": 1,
    "presence_penalty": 0,
    "logit_bias": {},
}
CHAT: dict[str, Any] = {
    "model": "m",
    **SAMPLING,
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "https://a/b"}}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
    ],
    "tools": [{"type": "function", "function": FUNCTION}],
    "tool_choice": "auto",
    "response_format": {"type": "json_object"},
    "stream": True,
    "user": "ann",
    "metadata": {"a": "b", "c": [1]},
}
MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image", "source": PNG}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Ulm"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": True, "content": [{"type": "text", "text": "a"}]},
                {"type": "document", "source": {"type": "url", "url": "https://a/b"}},
            ],
        },
    ],
    "tools": [{"name": "weather", "input_schema": SCHEMA}],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"},
    "metadata": {"user_id": "ann"},
    "stop_sequences": ["a"],
    "thinking": {"type": "adaptive"},
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "b", "detail": "low"}],
        },
        {"type": "reasoning", "id": "r", "summary": []},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a"}]},
    ],
    "tools": [{"type": "function", **FUNCTION}],
    "tool_choice": {"type": "function", "name": "weather"},
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low"},
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
}
TEXT = {"model": "m", "prompt": "a", **SAMPLING}
EMBEDDED = {"model": "m", "input": ["a", "b"], "dimensions": 8, "encoding_format": "float"}
LINE = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}


def openai(url: str) -> Read:
    return lambda body: from_openai(url, body, request_id="r", tenant="t")


CODEC = Serde().of(InferenceRequest)
READERS: dict[str, tuple[Read, dict[str, Any]]] = {
    "chat": (openai("/v1/chat/completions"), CHAT),
    "completion": (openai("/v1/completions"), TEXT),
    "embeddings": (openai("/v1/embeddings"), EMBEDDED),
    "batch": (lambda body: from_batch(body, request_id="r", tenant="t", model=None), LINE),
    "messages": (lambda body: from_anthropic(body, request_id="r", tenant="t"), MESSAGES),
    "responses": (lambda body: from_responses(body, request_id="r", tenant="t"), RESPONSES),
}
WORDS = st.sampled_from(["", "auto", "text", "type", "role", "content", "tool_result", "function_call", "image", "custom", "any"])
SCALARS = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a body: what holds it, and under which name or number."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(each, dict | list):
            yield from places(each)


@st.composite
def altered(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    for _ in range(draw(st.integers(0, 3))):
        if found := list(places(body)):
            holder, key = draw(st.sampled_from(found))
            if draw(st.booleans()):
                holder[key] = draw(VALUES)
            else:
                del holder[key]
    return body


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_json_is_a_request_or_a_bad_one(reader: str, data: st.DataObject) -> None:
    read, whole = READERS[reader]
    body = data.draw(altered(whole))
    try:
        request = read(body)
    except BadRequest:
        return
    assert tokens.of_request(request) > 0
    if not problems(request):
        assert CODEC.encode(request)
    if reader == "responses":
        Answering(NAMED, body).begun()


@pytest.mark.parametrize("reader", READERS)
def test_the_whole_bodies_are_requests(reader: str) -> None:
    read, whole = READERS[reader]
    assert problems(read(whole)) == ()
