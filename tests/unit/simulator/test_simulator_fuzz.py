"""Whatever is sent, the simulator answers: a body that no client should send never becomes an exception."""

from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.simulator.endpoints import resolve
from streams.simulator.exchange import exchange, free
from streams.simulator.faults import FaultKind
from streams.simulator.profiles import Profile

PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1beta/models/g:generateContent",
    "/v1beta/models/g:streamGenerateContent",
    "/v1beta/models/g:embedContent",
    "/v1beta/models/g:batchEmbedContents",
    "/api/chat",
    "/api/generate",
    "/api/embed",
)
_NAMES = """
model messages role content text parts contents tools tool_choice function name parameters type response_format json_schema
schema properties items minItems minLength maximum minimum enum const anyOf allOf $ref stream stream_options include_usage
max_tokens max_completion_tokens metadata sim_input_tokens n input dimensions encoding_format prompt system input_schema
generationConfig responseMimeType responseSchema maxOutputTokens toolConfig functionCallingConfig functionDeclarations
requests outputDimensionality systemInstruction options num_predict format images tool_calls output_config
"""
NAMES = tuple(_NAMES.split())
_TEXTS = """
user assistant object array string integer json_schema json_object any tool required auto base64 application/json ANY json # é水
"""
TEXTS = ("", "[[sim in=5 out=5]]", "[[sim x=1]]", *_TEXTS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)
PLAUSIBLE: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "hi"}],
    "contents": [{"parts": [{"text": "hi"}]}],
    "content": {"parts": [{"text": "hi"}]},
    "input": ["hi"],
    "prompt": "hi",
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(PATHS),
    odd=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
    fault=st.none() | st.sampled_from([kind.value for kind in FaultKind]),
)
def test_any_body_gets_a_reply(path: str, odd: dict[str, Any], fault: str | None) -> None:
    endpoint = resolve("POST", path)
    assert endpoint is not None
    raw = orjson.dumps(PLAUSIBLE | odd)
    if not endpoint.operation.billed:
        assert free(endpoint, raw).status in {200, 400}
        return
    headers = {"x-sim-fault": fault} if fault else {}
    reply = exchange(endpoint, headers, raw, profile=Profile(), call=1, at_s=0, now_s=1e9).reply
    assert reply.status in {200, 400} or fault == "http"
    assert reply.usage.input_tokens >= 0
    assert reply.usage.output_tokens >= 0
    if reply.status == 400:
        assert b"error" in reply.body
        assert reply.usage.input_tokens == 0


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_get_a_400(raw: bytes) -> None:
    endpoint = resolve("POST", "/v1/chat/completions")
    assert endpoint is not None
    assert exchange(endpoint, {}, raw, profile=Profile(), call=1, at_s=0, now_s=1e9).reply.status == 400
