"""What is posted to /v1/responses, as ours."""

import json
from typing import Any

import pytest

from processors.api.bad_request import BadRequest
from processors.api.responses_request import from_responses
from processors.classify.validate import problems
from schemas.requests import InferenceRequest

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}


def read(value: Any = "Hi", **body: Any) -> InferenceRequest:
    request = from_responses({"model": "auto", "input": value, **body}, request_id="r1", tenant="acme")
    assert problems(request) == ()
    return request


def test_parameters_with_their_own_fields_and_words_of_a_chat() -> None:
    request = read(
        temperature=0.5,
        max_output_tokens=7,
        metadata={"a": "b"},
        safety_identifier="ann",
        reasoning={"effort": "low"},
        text={"verbosity": "low"},
        parallel_tool_calls=False,
        store=True,
        include=["reasoning.encrypted_content"],
        stream=True,
    )
    assert (request.sampling.temperature, request.sampling.max_output_tokens, request.user) == (0.5, 7, "ann")
    assert (request.metadata, request.stream) == ({"a": "b"}, True)
    assert json.loads(request.extra_json or "") == {"parallel_tool_calls": False, "reasoning_effort": "low", "verbosity": "low"}


def test_items_become_messages() -> None:
    request = read(
        [
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
            {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "Rain"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "Sun"}]},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "And"}, {"type": "input_image", "image_url": "https://a/b"}],
            },
        ]
    )
    told = [(m.role, m.content, [c.id for c in m.tool_calls], m.tool_call_id) for m in request.messages]
    assert told == [
        ("developer", "Be brief.", [], None),
        ("user", "Weather?", [], None),
        ("assistant", "I look.", ["c1", "c2"], None),
        ("tool", "Rain", [], "c1"),
        ("tool", "Sun", [], "c2"),
        ("user", None, [], None),
    ]
    assert [part.image_url for part in request.messages[-1].parts] == [None, "https://a/b"]


def test_tools_and_formats_take_the_shape_of_a_chat() -> None:
    wanted = {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}
    request = read(tools=[TOOL], tool_choice={"type": "function", "name": "weather"}, text={"format": wanted})
    assert json.loads(request.tools_json or "") == [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}
    ]
    assert json.loads(request.tool_choice_json or "") == {"type": "function", "function": {"name": "weather"}}
    assert json.loads(request.response_format_json or "") == {
        "type": "json_schema",
        "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True},
    }


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="an earlier response"),
        pytest.param({"conversation": "conv_1"}, "conversation", id="a conversation"),
        pytest.param({"background": True}, "background", id="in the background"),
        pytest.param({"prompt": {"id": "p"}}, "prompt", id="a prompt template"),
        pytest.param({"tools": [{"type": "web_search"}]}, "tools", id="a tool of OpenAI's own"),
        pytest.param({"tool_choice": {"type": "mcp"}}, "tool_choice", id="the choice of one"),
        pytest.param({"tool_choice": "perhaps"}, "tool_choice", id="another choice"),
        pytest.param({"text": {"format": {"type": "grammar"}}}, "text.format", id="another format"),
        pytest.param({"text": []}, "text", id="text is a list"),
        pytest.param({"reasoning": "low"}, "reasoning", id="reasoning is a text"),
        pytest.param({"modalities": ["audio"]}, "modalities", id="an unknown parameter"),
        pytest.param({"input": None}, "input", id="no input"),
        pytest.param({"input": []}, "input", id="input of nothing"),
        pytest.param({"input": [{"type": "item_reference", "id": "x"}]}, "input", id="a reference"),
        pytest.param({"input": [{"role": ["user"], "content": "a"}]}, "input", id="the role is a list"),
        pytest.param({"input": [{"role": "user", "content": []}]}, "input", id="no content"),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input", id="a kept file"
        ),
        pytest.param({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input", id="a call of nothing"),
        pytest.param({"input": [{"type": "function_call_output", "call_id": "c", "output": None}]}, "input", id="no output"),
    ],
)
def test_what_cannot_be_asked_names_its_field(body: dict[str, Any], parameter: str) -> None:
    with pytest.raises(BadRequest) as refused:
        from_responses({"model": "auto", "input": "Hi", **body}, request_id="r1", tenant="acme")
    assert refused.value.parameter == parameter
