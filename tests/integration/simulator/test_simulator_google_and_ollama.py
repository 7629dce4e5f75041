"""Google's and Ollama's own shapes, read as their documentation says."""

import json
from typing import Any

import aiohttp
import pytest

CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "What is a penstock?"}]}]}
MESSAGES = {"model": "llama3.2", "messages": [{"role": "user", "content": "What is a penstock?"}]}


async def post(http: aiohttp.ClientSession, path: str, body: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(path, json=body, headers=named) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.content_type == "application/json"
        return await reply.json()


async def lines(http: aiohttp.ClientSession, path: str, body: Any, kind: str) -> list[str]:
    async with http.post(path, json=body) as reply:
        assert reply.content_type == kind
        return [line.decode() async for line in reply.content]


async def test_google_generate_and_stream(http: aiohttp.ClientSession) -> None:
    path = "/google/v1beta/models/gemini-2.5-flash"
    whole = await post(http, f"{path}:generateContent", CONTENTS)
    (candidate,) = whole["candidates"]
    text = candidate["content"]["parts"][0]["text"]
    assert (candidate["finishReason"], candidate["content"]["role"]) == ("STOP", "model")
    events = await lines(http, f"{path}:streamGenerateContent?alt=sse", CONTENTS, "text/event-stream")
    assert all(line.endswith("\r\n") for line in events)
    parsed = [json.loads(line[6:]) for line in events if line.startswith("data: ")]
    assert "".join(e["candidates"][0]["content"]["parts"][0]["text"] for e in parsed) == text
    assert parsed[-1]["candidates"][0]["finishReason"] == "STOP"
    assert parsed[-1]["usageMetadata"] == whole["usageMetadata"]
    counts = [e["usageMetadata"]["candidatesTokenCount"] for e in parsed]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


async def test_google_json_tools_and_counting(http: aiohttp.ClientSession) -> None:
    path = "/v1beta/models/gemini-2.5-pro"
    config = {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}},
    }
    reply = await post(http, f"{path}:generateContent", {**CONTENTS, "generationConfig": config})
    assert isinstance(json.loads(reply["candidates"][0]["content"]["parts"][0]["text"])["n"], int)
    tools = [{"functionDeclarations": [{"name": "weather", "parameters": {"type": "OBJECT"}}]}]
    forced = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}
    reply = await post(http, f"{path}:generateContent", {**CONTENTS, "tools": tools, "toolConfig": forced})
    assert reply["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "weather"
    assert await post(http, f"{path}:countTokens", CONTENTS) == {"totalTokens": 8}


async def test_google_embeddings(http: aiohttp.ClientSession) -> None:
    path, content = "/google/v1beta/models/gemini-embedding-001", {"parts": [{"text": "a cat"}]}
    one = await post(http, f"{path}:embedContent", {"content": content, "outputDimensionality": 32})
    assert len(one["embedding"]["values"]) == 32
    many = await post(http, f"{path}:batchEmbedContents", {"requests": [{"content": content}, {"content": content}]})
    assert many["embeddings"][0] == many["embeddings"][1]


@pytest.mark.parametrize(("status", "name"), [(429, "RESOURCE_EXHAUSTED"), (503, "UNAVAILABLE"), (400, "INVALID_ARGUMENT")])
async def test_google_errors(http: aiohttp.ClientSession, status: int, name: str) -> None:
    headers = {"x-sim-fault": f"http_{status}"}
    async with http.post("/v1beta/models/g:generateContent", json=CONTENTS, headers=headers) as reply:
        assert reply.status == status
        assert (await reply.json())["error"]["status"] == name


async def test_ollama_streams_unless_told_not_to(http: aiohttp.ClientSession) -> None:
    streamed = [json.loads(line) for line in await lines(http, "/ollama/api/chat", MESSAGES, "application/x-ndjson")]
    whole = await post(http, "/ollama/api/chat", {**MESSAGES, "stream": False})
    assert "".join(line["message"]["content"] for line in streamed) == whole["message"]["content"]
    assert [line["done"] for line in streamed] == [False] * (len(streamed) - 1) + [True]
    last = streamed[-1]
    assert (last["eval_count"], last["prompt_eval_count"]) == (whole["eval_count"], whole["prompt_eval_count"])
    assert last["done_reason"] == "stop"


async def test_ollama_generate_embed_tools_and_tags(http: aiohttp.ClientSession) -> None:
    options = {"num_predict": 4}
    reply = await post(http, "/api/generate", {"model": "m", "prompt": "Hi", "stream": False, "options": options})
    assert (reply["eval_count"], reply["done_reason"]) == (4, "length")
    unlimited = {"model": "m", "prompt": "Hi", "stream": False, "options": {"num_predict": -1}}
    assert (await post(http, "/api/generate", unlimited))["done_reason"] == "stop"
    embedded = await post(http, "/api/embed", {"model": "m", "input": ["a", "b"]})
    assert [len(vector) for vector in embedded["embeddings"]] == [768, 768]
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    fitted = await post(http, "/api/chat", {**MESSAGES, "stream": False, "format": schema})
    assert json.loads(fitted["message"]["content"]) == {"ok": True}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    asked = {"model": "m", "messages": [{"role": "user", "content": "call weather"}], "tools": tools, "stream": False}
    called = await post(http, "/api/chat", asked)
    assert called["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": {"ok": True}}
    async with http.get("/ollama/api/tags") as tags:
        assert "llama3.2" in [model["name"] for model in (await tags.json())["models"]]
