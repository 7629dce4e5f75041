"""What Anthropic's clients send, as ours, and as the adapters put it to providers."""

import json
from typing import Any

import pytest

from processors.api.anthropic_request import from_anthropic
from processors.api.bad_request import BadRequest
from processors.classify.validate import problems
from processors.providers.anthropic_wire import to_wire as to_anthropic
from processors.providers.contract import ProviderCall
from processors.providers.openai_wire import Dialect
from processors.providers.openai_wire import to_wire as to_openai
from schemas.calls import CallOrdered
from schemas.requests import InferenceRequest, Operation
from tests.fakes.records import T0, at

BODY: dict[str, Any] = {"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
TOOL = {
    "name": "weather",
    "description": "Tells it.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PNG = {"type": "base64", "media_type": "image/png", "data": "aGk="}


def read(**changes: Any) -> InferenceRequest:
    request = from_anthropic({**BODY, **changes}, request_id="r1", tenant="acme")
    assert problems(request) == ()
    return request


def call(request: InferenceRequest, provider: str) -> ProviderCall:
    order = CallOrdered(
        "r1", 1, "acme", "acme", f"{provider}/m", provider, "m", Operation.CHAT, b"", 10, 100, False, 60_000, T0, at(60)
    )
    return ProviderCall("c1", order, request)


def test_a_plain_message() -> None:
    request = read(
        system="Be brief.", temperature=0.5, top_p=0.9, stop_sequences=["END"], metadata={"user_id": "ann"}, stream=True
    )
    assert [(m.role, m.content) for m in request.messages] == [("system", "Be brief."), ("user", "Hi")]
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.max_output_tokens) == (0.5, 0.9, 9)
    assert (request.sampling.stop, request.user, request.stream, request.extra_json) == (("END",), "ann", True, None)


def test_system_blocks_are_a_message_each() -> None:
    request = read(system=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])
    assert to_anthropic(call(request, "anthropic"), stream=False)["system"] == "One.\n\nTwo."


CONVERSATION = [
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image", "source": PNG}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Ulm"}},
            {"type": "tool_use", "id": "t2", "name": "weather", "input": {"city": "Bonn"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": [{"type": "text", "text": "Rain"}, {"type": "image", "source": PNG}],
            },
            {"type": "tool_result", "tool_use_id": "t2", "content": "no such city", "is_error": True},
            {"type": "text", "text": "And now?"},
        ],
    },
]


def test_a_conversation_with_tools_as_openai_takes_it() -> None:
    _, body = to_openai(call(read(messages=CONVERSATION, tools=[TOOL]), "openai"), Dialect(), stream=False)
    user, assistant, first, second, last = body["messages"]
    assert user["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert assistant["content"] == "I look."
    assert [c["function"] for c in assistant["tool_calls"]] == [
        {"name": "weather", "arguments": '{"city":"Ulm"}'},
        {"name": "weather", "arguments": '{"city":"Bonn"}'},
    ]
    assert first == {"role": "tool", "tool_call_id": "t1", "content": "Rain"}
    assert second == {"role": "tool", "tool_call_id": "t2", "content": "Error: no such city"}
    assert [part["type"] for part in last["content"]] == ["image_url", "text"]
    assert body["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": TOOL["input_schema"], "description": "Tells it."}}
    ]


def test_a_conversation_with_tools_comes_back_to_anthropic_as_it_was_but_for_unsigned_thinking() -> None:
    body = to_anthropic(call(read(messages=CONVERSATION, tools=[TOOL]), "anthropic"), stream=False)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][0]["content"] == CONVERSATION[0]["content"]
    assert body["messages"][1]["content"] == CONVERSATION[1]["content"][1:]  # type: ignore[index]
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "tool_result", "image", "text"]
    assert body["tools"] == [TOOL]


def test_what_anthropic_alone_knows_passes_through() -> None:
    document = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}, "title": "A"}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "signed"}
    server_tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    request = read(
        messages=[{"role": "user", "content": [document]}, {"role": "assistant", "content": [thought]}, *BODY["messages"]],
        tools=[server_tool],
        thinking={"type": "adaptive"},
    )
    body = to_anthropic(call(request, "anthropic"), stream=False)
    assert body["messages"][0]["content"] == [document]
    assert body["messages"][1]["content"] == [thought]
    assert (body["tools"], body["thinking"]) == ([server_tool], {"type": "adaptive"})


def test_marks_for_the_prompt_cache_become_one_for_the_request() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    blocks = [{"type": "text", "text": "long", "cache_control": mark}, {"type": "text", "text": "Hi"}]
    request = read(messages=[{"role": "user", "content": blocks}], tools=[{**TOOL, "cache_control": {"type": "ephemeral"}}])
    body = to_anthropic(call(request, "anthropic"), stream=False)
    assert body["cache_control"] == mark
    assert "cache_control" not in json.dumps([body["messages"], body["tools"]])


@pytest.mark.parametrize(
    ("choice", "ours", "parallel"),
    [
        ({"type": "auto"}, "auto", None),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", False),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}, None),
    ],
    ids=["auto", "any", "none", "one"],
)
def test_the_choice_of_tools_comes_back_to_anthropic_as_it_was(choice: dict[str, Any], ours: Any, parallel: bool | None) -> None:
    request = read(tools=[TOOL], tool_choice=choice)
    assert json.loads(request.tool_choice_json or "") == ours
    assert json.loads(request.extra_json or "{}").get("parallel_tool_calls") is parallel
    assert to_anthropic(call(request, "anthropic"), stream=False)["tool_choice"] == choice


def test_a_json_schema_goes_to_any_provider() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    request = read(output_config={"format": {"type": "json_schema", "schema": schema}, "effort": "low"})
    wanted = json.loads(request.response_format_json or "")
    assert (wanted["type"], wanted["json_schema"]["schema"]) == ("json_schema", schema)
    body = to_anthropic(call(request, "anthropic"), stream=False)
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": schema}}


def test_counting_needs_no_bound_on_the_answer() -> None:
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    assert from_anthropic(body, request_id="r1", tenant="acme", counting=True).sampling.max_output_tokens is None
    with pytest.raises(BadRequest, match="max_tokens: Field required"):
        from_anthropic(body, request_id="r1", tenant="acme")


def turn(*blocks: Any, role: Any = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"messages": []}, id="no messages"),
        pytest.param({"messages": "Hi"}, id="messages are a text"),
        pytest.param({"messages": [{"role": ["user"], "content": "Hi"}]}, id="the role is a list"),
        pytest.param({"messages": [{"role": "tool", "content": "Hi"}]}, id="a role of OpenAI's"),
        pytest.param({"messages": [{"role": "user", "content": 7}]}, id="the content is a number"),
        pytest.param({"messages": [{"role": "user", "content": []}]}, id="no content"),
        pytest.param(turn("Hi"), id="a block is a text"),
        pytest.param(turn({"text": "Hi"}), id="a block without a type"),
        pytest.param(turn({"type": "text"}), id="a text block without text"),
        pytest.param(turn({"type": "image", "source": "x"}), id="an image without a source"),
        pytest.param(turn({"type": "tool_result", "content": "x"}), id="a result of no call"),
        pytest.param(turn({"type": "tool_result", "tool_use_id": "t", "content": 7}), id="a result that is a number"),
        pytest.param(turn({"type": "tool_use", "id": "t", "input": {}}, role="assistant"), id="a call of no tool"),
        pytest.param(turn({"type": "tool_use", "id": "t", "name": "f", "input": "x"}, role="assistant"), id="input is a text"),
        pytest.param({"system": 7}, id="system is a number"),
        pytest.param({"system": [{"type": "image"}]}, id="an image as system"),
        pytest.param({"tools": [{"name": "f"}]}, id="a tool without a schema"),
        pytest.param({"tools": [{"input_schema": {"type": "object"}}]}, id="a tool without a name"),
        pytest.param({"tool_choice": {"type": ["any"]}}, id="a choice of a list"),
        pytest.param({"tool_choice": {"type": "tool"}}, id="the choice of no tool"),
        pytest.param({"output_config": {"format": {"type": "text"}}}, id="another format"),
        pytest.param({"max_tokens": "9"}, id="a text for a number"),
        pytest.param({"metadata": {"user_id": 7}}, id="the user is a number"),
        pytest.param({"stream": "yes"}, id="stream is a text"),
        pytest.param({"model": None}, id="no model"),
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        from_anthropic({**BODY, **changes}, request_id="r1", tenant="acme")
