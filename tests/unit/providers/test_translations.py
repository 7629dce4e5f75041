"""What Anthropic, Google and Ollama are asked, and how they count."""

import json

import pytest

from processors.providers import anthropic_wire, google_wire, ollama_wire, openai_wire
from processors.providers.prompts import NotOffered, Unaskable
from schemas.requests import ContentPart, Message, Operation, Sampling, ToolCall
from tests.unit.providers.calls import call, order

FUNCTION = {"name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True}
TOOLS = json.dumps([{"type": "function", "function": FUNCTION}, {"type": "native", "name": "search"}])
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = json.dumps({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}})
TALK = (
    Message("system", "Be brief."),
    Message("developer", "And kind."),
    Message("user", "Where?"),
    Message("assistant", "Look:", tool_calls=(ToolCall("t1", "weather", '{"city":"Bonn"}'), ToolCall("t2", "weather", "{}"))),
    Message("tool", '{"rain":true}', tool_call_id="t1"),
    Message("tool", "sun", tool_call_id="t2"),
    Message("user", "And now?"),
)


def test_anthropic_gets_its_own_shape():
    asked = call(messages=TALK, tools_json=TOOLS, sampling=Sampling(stop=("END",)), response_format_json=FORMAT)
    body = anthropic_wire.to_wire(asked, stream=True)
    assert body["system"] == "Be brief.\n\nAnd kind."
    assert body["max_tokens"] == 100
    assert body["stream"] is True
    assert body["stop_sequences"] == ["END"]
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert body["tools"] == [
        {"name": "weather", "description": "d", "input_schema": {"type": "object"}, "strict": True},
        {"type": "native", "name": "search"},
    ]
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": '{"rain":true}'},
                {"type": "tool_result", "tool_use_id": "t2", "content": "sun"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("choice", "extra", "sent"),
    [
        (None, None, None),
        ('"auto"', None, {"type": "auto"}),
        ('"required"', None, {"type": "any"}),
        ('"none"', None, {"type": "none"}),
        ('{"type":"function","function":{"name":"weather"}}', None, {"type": "tool", "name": "weather"}),
        ('{"type":"tool","name":"weather"}', None, {"type": "tool", "name": "weather"}),
        (None, '{"parallel_tool_calls":false}', {"type": "auto", "disable_parallel_tool_use": True}),
        ('"none"', '{"parallel_tool_calls":false}', {"type": "none"}),
    ],
)
def test_anthropics_tool_choice(choice, extra, sent):
    body = anthropic_wire.to_wire(call(tools_json=TOOLS, tool_choice_json=choice, extra_json=extra), stream=False)
    assert body.get("tool_choice") == sent
    assert "parallel_tool_calls" not in body


def test_anthropic_refuses_sampling_so_it_gets_none():
    asked = call(sampling=Sampling(temperature=0.2, top_p=0.9), extra_json='{"top_k":5,"temperature":1,"service_tier":"auto"}')
    body = anthropic_wire.to_wire(asked, stream=False)
    assert not {"temperature", "top_p", "top_k"} & body.keys()
    assert body["service_tier"] == "auto"


def test_what_only_one_api_knows_does_not_reach_another():
    """`auto` sends a request to whoever is best: what was meant for one provider would be another's error."""
    known = {"reasoning_effort": "low", "logit_bias": {"1": 2}, "thinking": {"type": "enabled"}, "service_tier": "auto"}
    foreign = call(extra_json=json.dumps(known))
    to_anthropic = anthropic_wire.to_wire(foreign, stream=False)
    _, to_google = google_wire.to_wire(foreign, stream=False)
    _, to_openai = openai_wire.to_wire(foreign, openai_wire.dialect_of("https://api.openai.com/v1"), stream=False)
    _, to_compatible = openai_wire.to_wire(foreign, openai_wire.dialect_of("http://127.0.0.1:8000/v1"), stream=False)
    assert {"thinking", "service_tier"} <= to_anthropic.keys()
    assert not {"reasoning_effort", "logit_bias"} & to_anthropic.keys()
    assert not {"reasoning_effort", "logit_bias", "thinking"} & to_google.keys()
    assert {"reasoning_effort", "logit_bias", "service_tier"} <= to_openai.keys()
    assert "thinking" not in to_openai
    assert {"reasoning_effort", "logit_bias", "thinking"} <= to_compatible.keys()


def test_a_response_format_of_no_known_type_asks_google_for_nothing():
    _, body = google_wire.to_wire(call(response_format_json='{"type":[]}'), stream=False)
    assert "responseMimeType" not in body["generationConfig"]


def test_anthropic_has_no_embeddings():
    with pytest.raises(NotOffered):
        anthropic_wire.to_wire(call(Operation.EMBEDDINGS), stream=False)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        pytest.param(
            {"input_tokens": 3, "cache_creation_input_tokens": 12304, "output_tokens": 550},
            (12307, 550, 0, 12304, False),
            id="written",
        ),
        pytest.param(
            {"input_tokens": 6, "cache_read_input_tokens": 159217, "output_tokens": 2745},
            (159223, 2745, 159217, 0, False),
            id="read",
        ),
        pytest.param({"input_tokens": 0, "output_tokens": 0}, (0, 0, 0, 0, False), id="zero stays zero"),
        pytest.param({"input_tokens": -1, "output_tokens": 5}, (20, 5, 0, 0, True), id="negative"),
        pytest.param({"input_tokens": 10**12, "output_tokens": 10**12}, (20, 100, 0, 0, True), id="absurd"),
        pytest.param({"input_tokens": 5}, None, id="no output"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_anthropics_input_becomes_inclusive(wire, expected):
    usage = anthropic_wire.usage_from(order(), wire)
    assert (
        usage
        and (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens,
            usage.cache_write_input_tokens,
            usage.clamped,
        )
    ) == expected


def test_google_gets_its_own_shape():
    sampling = Sampling(temperature=0.2, top_p=0.9, stop=("END",), seed=7, presence_penalty=0.1, frequency_penalty=0.3)
    asked = call(
        model="models/gemini-3.8-flash",
        messages=TALK,
        tools_json=TOOLS,
        tool_choice_json='{"type":"function","function":{"name":"weather"}}',
        sampling=sampling,
        response_format_json=FORMAT,
        extra_json='{"generationConfig":{"topK":5,"maxOutputTokens":9999},"safetySettings":[]}',
    )
    path, body = google_wire.to_wire(asked, stream=True)
    assert path == "/models/gemini-3.8-flash:streamGenerateContent?alt=sse"
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "And kind."}]}
    assert body["generationConfig"] == {
        "topK": 5,
        "temperature": 0.2,
        "topP": 0.9,
        "maxOutputTokens": 100,
        "stopSequences": ["END"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.3,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    declaration = {"name": "weather", "description": "d", "parametersJsonSchema": {"type": "object"}}
    assert body["tools"] == [{"type": "native", "name": "search"}, {"functionDeclarations": [declaration]}]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["weather"]}}
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][1]["parts"] == [
        {"text": "Look:"},
        {
            "functionCall": {"id": "t1", "name": "weather", "args": {"city": "Bonn"}},
            "thoughtSignature": "skip_thought_signature_validator",
        },
        {"functionCall": {"id": "t2", "name": "weather", "args": {}}},
    ]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"id": "t1", "name": "weather", "response": {"rain": True}}},
        {"functionResponse": {"id": "t2", "name": "weather", "response": {"result": "sun"}}},
        {"text": "And now?"},
    ]


def test_older_gemini_models_get_no_signature():
    _, body = google_wire.to_wire(call(model="gemini-2.5-pro", messages=TALK), stream=False)
    assert "thoughtSignature" not in json.dumps(body)


def test_google_embeds_many_texts_in_one_call():
    path, body = google_wire.to_wire(
        call(Operation.EMBEDDINGS, model="e", input=("a", "b"), extra_json='{"dimensions":5}'), stream=False
    )
    assert path == "/models/e:batchEmbedContents"
    assert body["requests"][1] == {"model": "models/e", "content": {"parts": [{"text": "b"}]}, "outputDimensionality": 5}


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        pytest.param(
            {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}, (5, 5, 3), id="thoughts are output"
        ),
        pytest.param(
            {"promptTokenCount": 5, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 1},
            (7, 1, 0),
            id="tool prompts are input",
        ),
        pytest.param({"promptTokenCount": 5}, (5, 0, 0), id="zeros are left out"),
        pytest.param({}, None, id="empty"),
    ],
)
def test_googles_counts(wire, expected):
    usage = google_wire.usage_from(order(), wire)
    assert (usage and (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)) == expected


def test_ollama_gets_its_own_shape():
    asked = call(
        messages=(
            *TALK[2:5],
            Message("user", parts=(ContentPart("text", "See"), ContentPart("image_url", image_url="data:image/png;base64,aGk="))),
        ),
        sampling=Sampling(temperature=0.2, stop=("END",)),
        tools_json=TOOLS,
        response_format_json='{"type":"json_object"}',
        extra_json='{"options":{"num_ctx":8192,"num_predict":9999},"keep_alive":"5m"}',
    )
    path, body = ollama_wire.to_wire(asked, stream=False)
    assert path == "/api/chat"
    assert body["options"] == {"num_ctx": 8192, "num_predict": 100, "temperature": 0.2, "stop": ["END"]}
    assert (body["stream"], body["format"], body["keep_alive"]) == (False, "json", "5m")
    assert body["messages"][1]["tool_calls"][0] == {"function": {"name": "weather", "arguments": {"city": "Bonn"}}}
    assert body["messages"][2] == {"role": "tool", "content": '{"rain":true}', "tool_name": "weather"}
    assert body["messages"][3] == {"role": "user", "content": "See", "images": ["aGk="]}
    assert "tools" not in ollama_wire.to_wire(call(tools_json=TOOLS, tool_choice_json='"none"'), stream=False)[1]


def test_ollama_fetches_no_images():
    asked = call(messages=(Message("user", parts=(ContentPart("image_url", image_url="https://x/y.png"),)),))
    with pytest.raises(NotOffered):
        ollama_wire.to_wire(asked, stream=False)


WIRES = [anthropic_wire.to_wire, google_wire.to_wire, ollama_wire.to_wire]


@pytest.mark.parametrize("to_wire", WIRES, ids=["anthropic", "google", "ollama"])
@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(call(tools_json='{"a":1}'), id="tools are no array"),
        pytest.param(call(response_format_json="7"), id="format is no object"),
        pytest.param(
            call(messages=(Message("assistant", tool_calls=(ToolCall("t", "f", "[1]"),)),)), id="arguments are no object"
        ),
        pytest.param(
            call(messages=(Message("user", parts=(ContentPart("image_url", image_url="file:///etc/passwd"),)),)),
            id="a local file",
        ),
        pytest.param(
            call(messages=(Message("user", parts=(ContentPart("image_url", image_url="data:image/png;base64,%%"),)),)),
            id="no base64",
        ),
    ],
)
def test_what_cannot_be_asked(to_wire, asked):
    with pytest.raises(Unaskable):
        to_wire(asked, stream=False)
