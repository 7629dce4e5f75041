"""Promise 5: what a producer got wrong is told to it in words it can act on, and without its prompt."""

from dataclasses import replace

import pytest

from processors.classify.validate import problems
from schemas.requests import CachePolicy, ContentPart, InferenceRequest, Message, Operation, Preferences, Sampling, ToolCall

GOOD = InferenceRequest("r1", "acme", "auto", messages=(Message("user", "hi"),))


def changed(**fields: object) -> InferenceRequest:
    return replace(GOOD, **fields)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(GOOD, id="smallest"),
        pytest.param(changed(messages=(Message("user", ""),)), id="empty-text-is-text"),
        pytest.param(changed(operation=Operation.EMBEDDINGS, messages=(), input=("a", "b")), id="embeddings"),
        pytest.param(
            changed(operation=Operation.CLASSIFICATION, messages=(), input=("a",), labels=("x", "y")), id="classification"
        ),
        pytest.param(changed(operation=Operation.ML, messages=(), features_json="[1]"), id="ml"),
        pytest.param(changed(tools_json="[" * 64 + "]" * 64), id="64-levels"),
        pytest.param(changed(sampling=Sampling(0.0, 1.0, 1, ("x",), -1, -2.0, 2.0)), id="ranges-include-their-ends"),
        pytest.param(
            changed(
                messages=(
                    Message("system", "be kind"),
                    Message("user", parts=(ContentPart("input_audio", data_json='{"a": 1}'),)),
                    Message("assistant", tool_calls=(ToolCall("c", "f", "not json"),)),
                    Message("tool", "4", tool_call_id="c"),
                )
            ),
            id="tool-turns",
        ),
    ],
)
def test_valid(request_):
    assert problems(request_) == ()


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (changed(request_id=""), "request_id is empty"),
        (changed(tenant=" "), "tenant is empty"),
        (changed(request_id="x" * 257), "request_id has 257 characters, 256 are allowed"),
        (changed(tenant="a\nb"), "tenant holds control characters"),
        (changed(model=""), "model is empty"),
        (changed(user="u" * 300), "user has 300 characters"),
        (changed(operation=Operation.UNKNOWN), "operation is unknown"),
        (changed(messages=()), "chat needs messages"),
        (changed(operation=Operation.EMBEDDINGS), "embeddings needs a text in `input`"),
        (changed(operation=Operation.EMBEDDINGS, input=("",)), "embeddings needs a text in `input`"),
        (changed(operation=Operation.TEXT_COMPLETION, input=("a", "b")), "text_completion takes one text, `input` has 2"),
        (changed(operation=Operation.CLASSIFICATION, input=("a",), labels=("x", "x")), "two different labels"),
        (changed(operation=Operation.ML), "ml needs features_json"),
        (changed(messages=(Message("robot", "hi"),)), "messages[0].role is not one of"),
        (changed(messages=(Message("user"),)), "messages[0] is empty"),
        (
            changed(messages=(Message("user", "a"), Message("tool", "b"))),
            "messages[1] is a tool's answer and needs the tool_call_id",
        ),
        (changed(messages=(Message("user", parts=(ContentPart("text"),)),)), "messages[0].parts[0] is empty"),
        (
            changed(messages=(Message("user", parts=(ContentPart("x", data_json="1"),)),)),
            "parts[0].data_json must hold an object",
        ),
        (changed(messages=(Message("system", "x"),)), "only system messages"),
        (changed(messages=(Message("user", "x"),) * 2_049), "messages has 2049 entries, 2048 are allowed"),
        (changed(sampling=Sampling(temperature=2.5)), "sampling.temperature is 2.5; it lies between 0.0 and 2.0"),
        (changed(sampling=Sampling(top_p=float("nan"))), "sampling.top_p is nan"),
        (changed(sampling=Sampling(max_output_tokens=0)), "sampling.max_output_tokens is 0"),
        (changed(sampling=Sampling(stop=("x",) * 17)), "sampling.stop has 17 entries"),
        (changed(tools_json="{}"), "tools_json must hold an array"),
        (changed(tools_json="[1,"), "tools_json is no JSON (at character"),
        (changed(tools_json="[" * 65 + "]" * 65), "tools_json nests deeper than 64 levels"),
        (changed(extra_json="[" * 100_000), "extra_json is no JSON"),
        (changed(response_format_json='"text"'), "response_format_json must hold an object"),
        (changed(cache=CachePolicy(ttl_s=0)), "cache.ttl_s is 0"),
        (changed(preferences=Preferences(max_cost_nanousd=-1)), "preferences.max_cost_nanousd is -1"),
        (changed(preferences=Preferences(providers=("p",) * 65)), "preferences.providers has 65 entries"),
        (changed(metadata={str(i): "" for i in range(65)}), "metadata has 65 entries"),
        (changed(metadata={"k": "v" * 4_097}), "metadata holds a name over 256 or a value over 4096 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_invalid(request_, told):
    found = problems(request_)
    assert len(found) == 1
    assert told in found[0]


def test_reasons_are_bounded_and_never_quote_the_prompt():
    secret = "my-secret-prompt"
    found = problems(changed(request_id="", messages=tuple(Message(secret, secret) for _ in range(50)), tools_json=secret))
    assert len(found) == 8
    assert not any(secret in problem for problem in found)
