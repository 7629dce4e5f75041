"""What may be kept: complete successful answers, for the same tenant, for as long as was said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from processors.cache.answer import may_store, recall
from processors.cache.key import reads_cache
from processors.cache.ttl import ttl_s
from schemas.calls import Output, ToolCall, Usage
from schemas.deployments import CacheTtl
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Operation

AT = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = InferenceResponse(
    request_id="r",
    tenant="acme",
    final=True,
    status=ResponseStatus.OK,
    request_model="auto",
    attempts=1,
    task_kind="chat",
    policy="p",
    received_at=AT,
    answered_at=AT,
    operation=Operation.CHAT,
    output=Output(content="4", finish_reason="stop", response_model="gpt-dated"),
    usage=Usage(5, 1),
    cost_nanousd=12,
    provider="openai",
    deployment="mini",
    response_model="gpt-dated",
    cache=CacheState.MISS,
    cache_key="k",
    cache_ttl_s=60,
)


@pytest.mark.parametrize(
    ("changes", "stored"),
    [
        pytest.param({}, True, id="complete"),
        pytest.param(
            {"output": Output(tool_calls=(ToolCall("i", "f", "{}"),), finish_reason="tool_calls")}, True, id="tool-calls"
        ),
        pytest.param({"operation": Operation.EMBEDDINGS, "output": Output(embeddings=((0.1,),))}, True, id="embeddings"),
        pytest.param({"operation": Operation.CLASSIFICATION, "output": Output(label="x")}, True, id="label"),
        pytest.param({"final": False}, False, id="notice"),
        pytest.param({"status": ResponseStatus.ERROR}, False, id="error"),
        pytest.param({"status": ResponseStatus.EXPIRED}, False, id="expired"),
        pytest.param({"status": ResponseStatus.UNKNOWN}, False, id="status-of-a-newer-version"),
        pytest.param({"output": Output(content="4", finish_reason="length")}, False, id="cut-off"),
        pytest.param({"output": Output(content="4", finish_reason="content_filter")}, False, id="filtered"),
        pytest.param({"output": Output(content="4", finish_reason="pause_turn")}, False, id="the-providers-own-word"),
        pytest.param({"output": Output(content="4")}, False, id="no-finish-reason"),
        pytest.param({"output": Output(content="", finish_reason="stop")}, False, id="nothing-said"),
        pytest.param({"output": Output(content="no", refusal="no", finish_reason="stop")}, False, id="refusal"),
        pytest.param({"operation": Operation.EMBEDDINGS, "output": Output()}, False, id="no-vectors"),
        pytest.param({"output": None}, False, id="no-output"),
        pytest.param({"cache": CacheState.HIT}, False, id="from-the-cache"),
        pytest.param({"cache_key": None}, False, id="not-to-be-kept"),
        pytest.param({"cache_ttl_s": None}, False, id="no-ttl"),
        pytest.param({"deployment": None}, False, id="nobody-answered"),
    ],
)
def test_may_store(changes, stored):
    assert may_store(replace(GOOD, **changes)) is stored


def test_a_kept_answer_says_what_it_cost_and_by_which_model_totals_are_kept():
    cached = recall(GOOD, tenant="acme", cache_key="k", model="gpt-mini", now=AT + timedelta(seconds=59))
    assert (cached.output, cached.usage, cached.cost_nanousd, cached.model) == (GOOD.output, GOOD.usage, 12, "gpt-mini")
    assert (cached.provider, cached.deployment, cached.stored_at) == ("openai", "mini", AT)


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        pytest.param({}, {"tenant": "other"}, id="another-tenant"),
        pytest.param({}, {"cache_key": "other"}, id="another-key"),
        pytest.param({}, {"now": AT + timedelta(seconds=60)}, id="too-old"),
        pytest.param({"status": ResponseStatus.ERROR}, {}, id="never-to-be-kept"),
    ],
)
def test_what_is_not_its_answer_is_a_miss(kept, asked):
    given = {"tenant": "acme", "cache_key": "k", "model": None, "now": AT} | asked
    assert recall(replace(GOOD, **kept), **given) is None


def test_a_deployment_that_is_gone_leaves_the_model_that_answered():
    assert recall(GOOD, tenant="acme", cache_key="k", model=None, now=AT).model == "gpt-dated"


@pytest.mark.parametrize(
    ("policy", "ttl", "reads"),
    [
        pytest.param(CachePolicy(), 99, True, id="default"),
        pytest.param(CachePolicy(ttl_s=5), 5, True, id="own-ttl"),
        pytest.param(CachePolicy(CacheMode.REFRESH), 99, False, id="refresh"),
        pytest.param(CachePolicy(CacheMode.OFF, 5), None, False, id="off"),
    ],
)
def test_policies(policy, ttl, reads):
    request = InferenceRequest("r", "t", "m", cache=policy)
    assert (ttl_s(request, "chat", CacheTtl(), default_s=99), reads_cache(request)) == (ttl, reads)


@pytest.mark.parametrize(
    ("model", "kind", "wish", "seconds"),
    [
        pytest.param("gpt-x", "coding", None, 600, id="the model before the kind"),
        pytest.param("other", "coding", None, 1_800, id="the kind"),
        pytest.param("other", "chat", None, 300, id="another kind"),
        pytest.param("other", "math", None, 7_200, id="the file's default"),
        pytest.param("gpt-x", "coding", 5, 5, id="the sender's wish"),
    ],
)
def test_the_rules_of_the_catalogue(model, kind, wish, seconds):
    rules = CacheTtl(7_200, {"gpt-x": 600}, {"coding": 1_800, "chat": 300})
    request = InferenceRequest("r", "t", model, cache=CachePolicy(ttl_s=wish))
    assert ttl_s(request, kind, rules, default_s=99) == seconds
