"""Which requests are the same question, and which are the same request sent again."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from processors.cache.key import identify
from schemas.requests import (
    CacheMode,
    CachePolicy,
    ContentPart,
    InferenceRequest,
    Message,
    Operation,
    Preferences,
    Sampling,
    SpeedPriority,
)

BASE = InferenceRequest(
    "r1",
    "acme",
    "auto",
    messages=(Message("user", "hi"),),
    tools_json='[{"a": 1, "b": [2, null]}]',
    sampling=Sampling(temperature=0.5),
)
HERE = identify(BASE)


def test_both_are_pinned():
    """A change of the canonical form forgets every kept answer, and makes conflicts of requests sent again over an upgrade."""
    assert HERE.cache_key == "acme:auto:e0655c6b4285ff55566f2928c2c27df2944c81d5b51f997b68c17658d52425ce"
    assert HERE.body_digest.hex() == "23b4b58a639e5562bd95290606f6509d84484c4cacd107e17f6cca21d8a7c0ba"


@pytest.mark.parametrize(
    ("changes", "same_key", "same_body"),
    [
        pytest.param({"request_id": "r2"}, True, True, id="request_id"),
        pytest.param({"deadline": datetime(2030, 1, 1, tzinfo=UTC)}, True, True, id="deadline"),
        pytest.param({"stream": True}, True, True, id="stream"),
        pytest.param({"metadata": {"a": "b"}}, True, True, id="metadata"),
        pytest.param({"tools_json": ' [ {"b":[2,null], "a":1} ]'}, True, True, id="json-order-and-spacing"),
        pytest.param({"user": "u"}, True, False, id="user"),
        pytest.param({"session": "s"}, True, False, id="session"),
        pytest.param({"cache": CachePolicy(CacheMode.REFRESH)}, True, False, id="cache-policy"),
        pytest.param({"preferences": Preferences(max_cost_nanousd=5)}, True, False, id="max-cost"),
        pytest.param({"preferences": Preferences(speed_priority=SpeedPriority.FAST)}, True, False, id="speed"),
        pytest.param({"preferences": Preferences(provider="openai")}, False, False, id="pinned-provider"),
        pytest.param({"preferences": Preferences(providers=("openai",))}, False, False, id="allowed-providers"),
        pytest.param({"model": "gpt"}, False, False, id="model"),
        pytest.param({"operation": Operation.TEXT_COMPLETION}, False, False, id="operation"),
        pytest.param({"messages": (Message("user", "ho"),)}, False, False, id="text"),
        pytest.param({"messages": (Message("system", "hi"),)}, False, False, id="role"),
        pytest.param({"messages": (Message("user", "hi"), Message("user", "hi"))}, False, False, id="another-message"),
        pytest.param({"messages": (Message("user", parts=(ContentPart("text", "hi"),)),)}, False, False, id="parts"),
        pytest.param({"input": ("hi",)}, False, False, id="input"),
        pytest.param({"labels": ("a",)}, False, False, id="labels"),
        pytest.param({"tools_json": "null"}, False, False, id="tools-null"),
        pytest.param({"tools_json": None}, False, False, id="no-tools"),
        pytest.param({"tool_choice_json": '"auto"'}, False, False, id="tool-choice"),
        pytest.param({"response_format_json": "{}"}, False, False, id="response-format"),
        pytest.param({"extra_json": '{"x": 1}'}, False, False, id="extra"),
        pytest.param({"sampling": Sampling()}, False, False, id="sampling"),
    ],
)
def test_what_counts(changes, same_key, same_body):
    there = identify(replace(BASE, **changes))
    assert (there.cache_key == HERE.cache_key, there.body_digest == HERE.body_digest) == (same_key, same_body)


def test_the_tenant_is_in_the_key_and_not_in_the_body():
    there = identify(replace(BASE, tenant="globex"))
    assert there.cache_key != HERE.cache_key
    assert there.body_digest == HERE.body_digest


def test_the_order_of_allowed_providers_does_not_matter_to_the_answer():
    one, other = (identify(replace(BASE, preferences=Preferences(providers=p))) for p in (("a", "b"), ("b", "a", "b")))
    assert one.cache_key == other.cache_key


def test_no_caching_no_key():
    off = identify(replace(BASE, cache=CachePolicy(CacheMode.OFF)))
    assert off.cache_key is None
    assert len(off.body_digest) == 32
