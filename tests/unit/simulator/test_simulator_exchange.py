"""From a request to its reply, without a socket."""

from typing import Any

import orjson
import pytest

from streams.simulator.endpoints import Operation, Shape, resolve
from streams.simulator.exchange import Exchange, exchange, free
from streams.simulator.profiles import Profile

USER = {"role": "user", "content": "What is a penstock?"}


def ask(path: str, body: Any, *, call: int = 1, now_s: float = 1e9, **headers: str) -> Exchange:
    endpoint = resolve("POST", path)
    assert endpoint is not None, path
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return exchange(endpoint, named, raw, profile=Profile(), call=call, at_s=0, now_s=now_s)


def told(path: str, body: Any, **headers: str) -> Any:
    return orjson.loads(ask(path, body, **headers).reply.body)


@pytest.mark.parametrize(
    ("method", "path", "provider", "shape", "operation"),
    [
        ("POST", "/v1/chat/completions", "openai", Shape.OPENAI, Operation.CHAT),
        ("POST", "/openai/v1/chat/completions", "openai", Shape.OPENAI, Operation.CHAT),
        ("POST", "/openai/v1/completions", "openai", Shape.OPENAI, Operation.TEXT_COMPLETION),
        ("POST", "/openai/v1/embeddings", "openai", Shape.OPENAI, Operation.EMBEDDINGS),
        ("POST", "/deepseek/chat/completions", "deepseek", Shape.OPENAI, Operation.CHAT),
        ("POST", "/groq/openai/v1/chat/completions", "groq", Shape.OPENAI, Operation.CHAT),
        ("POST", "/my-gpu-7/v1/chat/completions", "my-gpu-7", Shape.OPENAI, Operation.CHAT),
        ("POST", "/ollama/v1/chat/completions", "ollama", Shape.OPENAI, Operation.CHAT),
        ("POST", "/google/v1beta/openai/chat/completions", "google", Shape.OPENAI, Operation.CHAT),
        ("POST", "/v1beta/openai/chat/completions", "google", Shape.OPENAI, Operation.CHAT),
        ("POST", "/v1/messages", "anthropic", Shape.ANTHROPIC, Operation.CHAT),
        ("POST", "/bedrock/v1/messages", "bedrock", Shape.ANTHROPIC, Operation.CHAT),
        ("POST", "/anthropic/v1/messages/count_tokens", "anthropic", Shape.ANTHROPIC, Operation.COUNT_TOKENS),
        ("POST", "/google/v1beta/models/gemini-2.5-pro:generateContent", "google", Shape.GOOGLE, Operation.CHAT),
        ("POST", "/google/v1/models/gemini-2.5-pro:generateContent", "google", Shape.GOOGLE, Operation.CHAT),
        ("GET", "/google/v1/models", "google", Shape.GOOGLE, Operation.MODELS),
        ("POST", "/v1beta/models/embed-1:batchEmbedContents", "google", Shape.GOOGLE, Operation.EMBEDDINGS),
        ("POST", "/api/chat", "ollama", Shape.OLLAMA, Operation.CHAT),
        ("POST", "/ollama/api/generate", "ollama", Shape.OLLAMA, Operation.TEXT_COMPLETION),
        ("POST", "/ollama/api/embed", "ollama", Shape.OLLAMA, Operation.EMBEDDINGS),
        ("GET", "/v1/models", "openai", Shape.OPENAI, Operation.MODELS),
        ("GET", "/anthropic/v1/models", "anthropic", Shape.ANTHROPIC, Operation.MODELS),
        ("GET", "/api/tags", "ollama", Shape.OLLAMA, Operation.MODELS),
        ("GET", "/v1beta/models", "google", Shape.GOOGLE, Operation.MODELS),
    ],
)
def test_paths(method: str, path: str, provider: str, shape: Shape, operation: Operation) -> None:
    endpoint = resolve(method, path)
    assert endpoint is not None
    assert (endpoint.provider, endpoint.shape, endpoint.operation) == (provider, shape, operation)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/chat", "/openai/v1/images", "/google/v1beta/models/g:nothing", "/x/chat/chat/completions/y"]
)
def test_paths_that_are_none(path: str) -> None:
    assert resolve("POST", path) is None
    assert resolve("DELETE", "/v1/chat/completions") is None


def test_a_port_of_its_own_names_the_provider() -> None:
    endpoint = resolve("POST", "/v1/chat/completions", "deepseek")
    assert endpoint is not None
    assert endpoint.provider == "deepseek"
    prefixed = resolve("POST", "/deepseek/v1/chat/completions", "deepseek")
    assert prefixed == endpoint


def test_the_same_request_gets_the_same_answer_streamed_or_not_and_in_any_field_order() -> None:
    body = {"model": "gpt-4o", "messages": [USER], "temperature": 0.5}
    reordered = {"temperature": 0.5, "messages": [USER], "model": "gpt-4o"}
    first, again = told("/v1/chat/completions", body), told("/v1/chat/completions", reordered)
    assert first["choices"] == again["choices"]
    assert first["usage"] == again["usage"]
    stream = ask("/v1/chat/completions", {**body, "stream": True}).reply
    events = [orjson.loads(p.data[6:]) for p in stream.parts[:-1]]
    text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events)
    assert text == first["choices"][0]["message"]["content"]
    other = told("/v1/chat/completions", {**body, "temperature": 0.6})
    assert other["choices"][0]["message"]["content"] != text or other["usage"] != first["usage"]


def test_replies_have_ids_of_their_own() -> None:
    body = {"model": "gpt-4o", "messages": [USER]}
    ids = {orjson.loads(ask("/v1/chat/completions", body, call=n).reply.body)["id"] for n in range(50)}
    assert len(ids) == 50


MARKED = {"role": "user", "content": "[[sim in=4808 out=10]]"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "[[sim in=4808 out=10]] and more"}]}
GOOGLE = {"contents": [{"role": "user", "parts": [{"text": "[[sim in=4808 out=10]]"}]}]}


@pytest.mark.parametrize(
    ("path", "body", "field", "names"),
    [
        ("/v1/chat/completions", {"model": "m", "messages": [USER, MARKED]}, "usage", ("prompt_tokens", "completion_tokens")),
        ("/v1/chat/completions", {"model": "m", "messages": [PARTS]}, "usage", ("prompt_tokens", "completion_tokens")),
        ("/v1/completions", {"model": "m", "prompt": MARKED["content"]}, "usage", ("prompt_tokens", "completion_tokens")),
        ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": [PARTS]}, "usage", ("input_tokens", "output_tokens")),
        ("/v1beta/models/g:generateContent", GOOGLE, "usageMetadata", ("promptTokenCount", "candidatesTokenCount")),
        ("/api/chat", {"model": "m", "messages": [MARKED], "stream": False}, None, ("prompt_eval_count", "eval_count")),
        (
            "/api/generate",
            {"model": "m", "prompt": MARKED["content"], "stream": False},
            None,
            ("prompt_eval_count", "eval_count"),
        ),
    ],
)
def test_the_marker_sets_the_sizes_in_every_shape(path: str, body: Any, field: str | None, names: tuple[str, str]) -> None:
    found = told(path, body)
    usage = found[field] if field else found
    assert tuple(usage[name] for name in names) == (4808, 10)
    billed = ask(path, body).reply.usage
    assert (billed.input_tokens, billed.output_tokens) == (4808, 10)


def test_headers_and_openai_metadata_set_the_sizes() -> None:
    body = {"model": "m", "messages": [USER], "metadata": {"sim_input_tokens": "4808", "sim_output_tokens": "10"}}
    assert told("/v1/chat/completions", body)["usage"]["total_tokens"] == 4818
    plain = {"model": "m", "max_tokens": 3, "messages": [USER]}
    found = told("/v1/messages", plain, x_sim_input_tokens="7", x_sim_output_tokens="8")
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"]) == (7, 8)


def test_cached_tokens_are_inside_the_input_for_openai_and_beside_it_for_anthropic() -> None:
    marked = {"role": "user", "content": "[[sim in=12400 cache_read=93 cache_write=12304 out=550]]"}
    theirs = told("/v1/messages", {"model": "m", "max_tokens": 999, "messages": [marked]})["usage"]
    assert (theirs["input_tokens"], theirs["cache_creation_input_tokens"], theirs["cache_read_input_tokens"]) == (3, 12304, 93)
    ours = told("/v1/chat/completions", {"model": "m", "messages": [marked]})["usage"]
    assert (ours["prompt_tokens"], ours["prompt_tokens_details"]["cached_tokens"]) == (12400, 93)
    hit = told("/deepseek/chat/completions", {"model": "m", "messages": [marked]})["usage"]
    assert (hit["prompt_cache_hit_tokens"], hit["prompt_cache_miss_tokens"]) == (93, 12307)


def test_input_is_counted_from_text_system_and_tools() -> None:
    def prompt(body: dict[str, Any]) -> int:
        tokens: int = told("/v1/chat/completions", {"model": "m", **body})["usage"]["prompt_tokens"]
        return tokens

    assert prompt({"messages": [{"role": "user", "content": "x" * 400}]}) == 100 + 3
    assert prompt({"messages": [USER, {"role": "user", "content": "x" * 400}]}) == 100 + 3 + 5 + 3
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9000}}
    assert prompt({"messages": [{"role": "user", "content": [image]}]}) == 85 + 3
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    assert prompt({"messages": [USER], "tools": [tool]}) > prompt({"messages": [USER]}) + 10


def test_a_tool_is_called_when_required_named_or_mentioned() -> None:
    tools = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in ("alpha", "beta")]
    body: dict[str, Any] = {"model": "m", "messages": [USER], "tools": tools}

    def called(**more: Any) -> str | None:
        message = told("/v1/chat/completions", {**body, **more})["choices"][0]["message"]
        return message["tool_calls"][0]["function"]["name"] if "tool_calls" in message else None

    assert called() is None
    assert called(tool_choice="required") == "alpha"
    assert called(tool_choice={"type": "function", "function": {"name": "beta"}}) == "beta"
    mention = [{"role": "user", "content": "use beta please"}]
    assert called(messages=mention) == "beta"
    assert called(messages=mention, tool_choice="none") is None
    assert called(messages=[*mention, {"role": "tool", "tool_call_id": "1", "content": "42"}]) is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b"{"),
        ("/v1/chat/completions", []),
        ("/v1/chat/completions", {"messages": [USER]}),
        ("/v1/chat/completions", {"model": "m", "messages": []}),
        ("/v1/chat/completions", {"model": "m", "messages": ["hi"]}),
        ("/v1/chat/completions", {"model": "m", "messages": [USER], "n": 2}),
        ("/v1/chat/completions", {"model": "m", "messages": [USER], "max_tokens": 0}),
        ("/v1/chat/completions", {"model": "m", "messages": [USER], "tools": ["f"]}),
        ("/v1/chat/completions", {"model": "m", "messages": [USER], "tool_choice": {"function": {"name": "g"}}}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "[[sim in=x]]"}]}),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "[[sim fault=nope]]"}]}),
        ("/v1/embeddings", {"model": "m", "input": []}),
        ("/v1/embeddings", {"model": "m", "input": "x", "dimensions": 10**9}),
        ("/v1/messages", {"model": "m", "messages": [USER]}),
        ("/v1beta/models/g:generateContent", {"contents": "hi"}),
        ("/v1beta/models/g:embedContent", {"content": "hi"}),
        ("/api/embed", {"model": "m", "input": [1]}),
    ],
)
def test_a_bad_request_is_answered_with_400_in_the_shapes_own_words(path: str, body: Any) -> None:
    reply = ask(path, body).reply
    assert reply.status == 400
    assert "error" in orjson.loads(reply.body)
    assert reply.usage.output_tokens == 0


def test_a_refused_port_cannot_be_asked_for_by_a_request() -> None:
    found = ask("/v1/chat/completions", {"model": "m", "messages": [USER]}, x_sim_fault="refused")
    assert found.reply.status == 400


def test_free_requests() -> None:
    count = resolve("POST", "/v1/messages/count_tokens")
    assert count is not None
    raw = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 40}]})
    assert orjson.loads(free(count, raw).body) == {"input_tokens": 13}
    assert free(count, b"{").status == 400
