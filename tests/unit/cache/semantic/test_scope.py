"""Only the wording of what was asked last may differ."""

from dataclasses import replace

import pytest

from processors.cache.semantic.question import MAX_CHARACTERS
from processors.cache.semantic.scope import scoped
from schemas.requests import CacheMode, CachePolicy, ContentPart, InferenceRequest, Message, Operation, Preferences, Sampling

SYSTEM, ASKED = Message("system", "Be brief."), Message("user", "How do I reset a password?")
BASE = InferenceRequest("r1", "acme", "auto", messages=(SYSTEM, ASKED), sampling=Sampling(temperature=0.0))
HERE = scoped(BASE)


def test_another_wording_by_another_user_is_of_the_same_scope():
    assert HERE is not None
    other = scoped(replace(BASE, request_id="r2", user="u2", messages=(SYSTEM, Message("user", "How can I reset my password?"))))
    assert other is not None
    assert (other.scope, other.text) == (HERE.scope, "How can I reset my password?")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tenant": "globex"}, id="tenant"),
        pytest.param({"model": "other"}, id="model"),
        pytest.param({"messages": (Message("system", "Be long."), ASKED)}, id="system prompt"),
        pytest.param({"messages": (ASKED,)}, id="no system prompt"),
        pytest.param({"messages": (SYSTEM, Message("user", "Hello"), Message("assistant", "Hi"), ASKED)}, id="earlier turns"),
        pytest.param({"tools_json": "[]"}, id="tools"),
        pytest.param({"response_format_json": '{"type": "json_object"}'}, id="response format"),
        pytest.param({"extra_json": '{"logprobs": true}'}, id="other parameters"),
        pytest.param({"sampling": Sampling(temperature=0.0, max_output_tokens=5)}, id="length"),
        pytest.param({"sampling": Sampling(temperature=0.0, seed=1)}, id="seed"),
        pytest.param({"preferences": Preferences(provider="openai")}, id="provider"),
    ],
)
def test_all_else_makes_another_scope(changes: dict[str, object]):
    other = scoped(replace(BASE, **changes))
    assert other is not None
    assert HERE is not None
    assert other.scope != HERE.scope


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sampling": Sampling(temperature=0.7)}, id="a temperature"),
        pytest.param({"sampling": Sampling()}, id="the provider's temperature"),
        pytest.param({"operation": Operation.EMBEDDINGS}, id="embeddings"),
        pytest.param({"messages": ()}, id="no message"),
        pytest.param({"messages": (SYSTEM, Message("assistant", "Hi"))}, id="not a user's"),
        pytest.param({"messages": (SYSTEM, Message("user", ""))}, id="nothing asked"),
        pytest.param({"messages": (SYSTEM, Message("user", "x" * (MAX_CHARACTERS + 1)))}, id="too long"),
        pytest.param({"messages": (SYSTEM, Message("user", "What is this?", parts=(ContentPart("image_url"),)))}, id="an image"),
        pytest.param({"cache": CachePolicy(mode=CacheMode.OFF)}, id="caching is off"),
    ],
)
def test_some_requests_are_answered_by_no_other_wording(changes: dict[str, object]):
    assert scoped(replace(BASE, **changes)) is None
