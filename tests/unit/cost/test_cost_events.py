"""Promise 2: every started call has one cost event, and a lost one is charged as an estimate and flagged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from processors.cost.events import for_cache_hit, for_call
from processors.cost.prices import PriceBook
from schemas.calls import Billing, Output, Usage, UsageSource
from schemas.ledger import CostKind, PricingStatus
from schemas.requests import Operation
from schemas.routing import CachedAnswer, RequestRouted
from schemas.state import CallState

AT = datetime(2026, 6, 1, 12, 59, 59, tzinfo=UTC)
NOW = AT + timedelta(seconds=2)
BOOK = PriceBook()
CALL = CallState(
    call_id="c1",
    tenant="acme",
    request_id="r1",
    attempt=2,
    lane="acme#1",
    deployment="mini",
    provider="openai",
    model="gpt-4o-mini",
    operation=Operation.CHAT,
    started_at=AT,
    lost_at=NOW,
    input_tokens_estimate=1_000,
    output_tokens_bound=100,
    user="u",
)
LOST = Usage(1_000, 100, source=UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    ("given", "usage", "cost", "status", "estimated"),
    [
        pytest.param({"usage": Usage(1_000, 10)}, Usage(1_000, 10), 156_000, PricingStatus.PRICED, False, id="reported"),
        pytest.param({"usage": Usage(0, 0)}, Usage(0, 0), 0, PricingStatus.PRICED, False, id="explicit-zero"),
        pytest.param({"usage": None}, LOST, 210_000, PricingStatus.PRICED, True, id="answered-without-usage"),
        pytest.param({"usage": None, "billing": Billing.UNKNOWN}, LOST, 210_000, PricingStatus.PRICED, True, id="lost"),
        pytest.param({"usage": None, "billing": Billing.NOT_BILLED}, None, 0, PricingStatus.NOT_BILLED, False, id="not-sent"),
        pytest.param(
            {"usage": Usage(5, 5), "billing": Billing.NOT_BILLED},
            Usage(5, 5),
            0,
            PricingStatus.NOT_BILLED,
            False,
            id="counted-but-not-billed",
        ),
    ],
)
def test_a_call_has_one_event(given, usage, cost, status, estimated):
    event = for_call(CALL, BOOK, now=NOW, **given)
    assert (event.event_id, event.call_id, event.kind, event.attempt) == ("c1", "c1", CostKind.CALL, 2)
    assert (event.usage, event.cost_nanousd, event.pricing_status, event.estimated) == (usage, cost, status, estimated)
    assert (event.occurred_at, event.recorded_at, event.user, event.lane) == (AT, NOW, "u", "acme#1")


@pytest.mark.parametrize(
    ("model", "response_model", "cost"),
    [
        pytest.param("my-alias", "gpt-4o-mini", 156_000, id="alias-priced-by-what-answered"),
        pytest.param("gpt-4o-mini", "gpt-4o", 156_000, id="the-model-asked-for-has-precedence"),
        pytest.param("my-alias", "my-alias-2", None, id="neither-is-known"),
        pytest.param("my-alias", None, None, id="no-answer"),
    ],
)
def test_which_model_is_priced(model, response_model, cost):
    event = for_call(replace(CALL, model=model), BOOK, usage=Usage(1_000, 10), response_model=response_model, now=NOW)
    assert (event.model, event.response_model, event.cost_nanousd) == (model, response_model, cost)
    assert event.pricing_status is (PricingStatus.UNKNOWN if cost is None else PricingStatus.PRICED)


ROUTED = RequestRouted(
    request_id="r1",
    tenant="acme",
    lane="acme",
    request=b"",
    body_digest=b"",
    request_model="auto",
    task_kind="chat",
    complexity="low",
    input_tokens_estimate=1,
    policy="p@1",
    received_at=AT,
    routed_at=NOW,
    deadline=NOW,
    cached=CachedAnswer(Output(content="hi"), "openai", "mini", "gpt-4o-mini", stored_at=AT, cost_nanousd=77),
)


def test_a_cache_hit_costs_nothing_and_says_what_it_avoided():
    event = for_cache_hit(ROUTED, now=NOW)
    assert (event.event_id, event.kind, event.call_id) == ("cache/acme/r1", CostKind.CACHE_HIT, None)
    assert (event.cost_nanousd, event.avoided_nanousd, event.pricing_status) == (0, 77, PricingStatus.NOT_BILLED)
    assert (event.occurred_at, event.recorded_at, event.model) == (AT, NOW, "gpt-4o-mini")


def test_a_request_without_cached_answer_has_no_such_event():
    with pytest.raises(ValueError, match="r1 of acme has no cached answer"):
        for_cache_hit(replace(ROUTED, cached=None), now=NOW)
