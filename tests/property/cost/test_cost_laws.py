"""Laws of money: our prices are the list's; totals are the same in any order."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import genai_prices
import pytest
from genai_prices import data_snapshot
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from processors.cost.prices import PriceBook
from processors.cost.totals import add, total_key
from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind, CostTotal, PricingStatus

BOOK = PriceBook()
MODELS = sorted(
    {
        (provider.id, model.id)
        for provider in data_snapshot.get_snapshot().providers
        if provider.id in {"openai", "anthropic", "google", "deepseek", "mistral", "perplexity", "groq", "x-ai"}
        for model in provider.models
    }
)
TIMES = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive
TOKENS = st.one_of(st.integers(0, 2_000), st.integers(0, 2_000_000))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, write, plain, reasoning, answer = (draw(TOKENS) for _ in range(5))
    return Usage(read + write + plain, reasoning + answer, read, write, reasoning)


@given(usage=usages(), model=st.sampled_from(MODELS), at=TIMES)
@settings(max_examples=400, deadline=None)
def test_our_price_is_the_lists_price_rounded_once(usage, model, at):
    provider, name = model
    try:
        theirs = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_input_tokens,
                cache_write_tokens=usage.cache_write_input_tokens,
                output_reasoning_tokens=usage.reasoning_tokens,
            ),
            name,
            provider_id=provider,
            genai_request_timestamp=at,
        )
    except LookupError:
        theirs = None
    ours = BOOK.price(usage, provider=provider, model=name, deployment="", at=at)
    if theirs is None:
        assert ours.cost_nanousd is None
        return
    prices = theirs.model_price
    has_prices = (prices.input_mtok is not None or usage.input_tokens == 0) and (
        prices.output_mtok is not None or usage.output_tokens == 0
    )
    if not has_prices:
        assert ours.cost_nanousd is None or ours.cost_nanousd > 0, "tokens without a price never come out as free"
        return
    expected = (theirs.total_price * 10**9).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert ours.cost_nanousd == int(expected)
    assert ours.status is PricingStatus.PRICED


@given(usage=usages(), model=st.sampled_from(MODELS), at=TIMES)
@settings(max_examples=200, deadline=None)
def test_no_call_costs_more_than_its_bound(usage, model, at):
    provider, name = model
    cost = BOOK.price(usage, provider=provider, model=name, deployment="", at=at).cost_nanousd
    bound = BOOK.upper_bound(usage.input_tokens, usage.output_tokens, provider=provider, model=name, deployment="", at=at)
    assume(cost is not None and bound is not None)
    assert cost <= bound


START = datetime(2026, 1, 31, 15, tzinfo=UTC)


@st.composite
def events(draw: st.DrawFn) -> CostEvent:
    kind = draw(st.sampled_from(list(CostKind)))
    return CostEvent(
        event_id="e",
        kind=kind,
        request_id="r",
        tenant="acme",
        lane="acme",
        provider="openai",
        deployment="mini",
        model=draw(st.sampled_from(["a", "a|b"])),
        occurred_at=START + timedelta(minutes=draw(st.integers(0, 119))),
        recorded_at=START,
        usage=draw(st.none() | usages()),
        cost_nanousd=draw(st.none() | st.integers(0, 10**12)),
        estimated=draw(st.booleans()),
        wasted=draw(st.booleans()),
        avoided_nanousd=draw(st.none() | st.integers(0, 10**9)),
    )


def fold(those: list[tuple[CostEvent, datetime]]) -> dict[str, CostTotal]:
    totals: dict[str, CostTotal] = {}
    for event, now in those:
        totals[total_key(event)] = add(totals.get(total_key(event)), event, now=now)
    return totals


@given(data=st.data(), those=st.lists(st.tuples(events(), TIMES), max_size=12))
@settings(deadline=None)
def test_totals_are_order_free(data, those):
    assert fold(those) == fold(data.draw(st.permutations(those)))


@given(st.lists(events(), max_size=12))
@settings(deadline=None)
def test_totals_hold_every_event_once(those):
    totals = fold([(event, START) for event in those]).values()
    calls = [event for event in those if event.kind is CostKind.CALL]
    assert sum(t.calls for t in totals) == len(calls)
    assert sum(t.cost_nanousd for t in totals) == sum(e.cost_nanousd or 0 for e in those)
    assert sum(t.unpriced_calls for t in totals) == sum(e.cost_nanousd is None for e in calls)
    assert sum(t.input_tokens for t in totals) == sum(e.usage.input_tokens for e in those if e.usage)
    assert sum(t.cache_hits for t in totals) == sum(e.kind is CostKind.CACHE_HIT for e in those)


@given(*[st.tuples(*[st.text("ab|%", max_size=4)] * 3)] * 2)
@settings(deadline=None)
def test_two_totals_never_share_a_key(first_parts, second_parts):
    first = CostTotal("t", *first_parts, START, START)
    second = CostTotal("t", *second_parts, START, START)
    assert (total_key(first) == total_key(second)) == (first_parts == second_parts)


def test_an_event_and_its_total_share_the_key():
    event = CostEvent("e", CostKind.CALL, "r", "t", "t#1", "openai", "d", "gpt|5", START + timedelta(minutes=59), START)
    assert total_key(event) == total_key(add(None, event, now=START)) == "t#1|openai|gpt%7C5|2026-01-31T15"


@pytest.mark.parametrize("minute", [0, 59])
def test_hours_are_utc(minute):
    event = CostEvent("e", CostKind.CALL, "r", "t", "t", "p", "d", "m", START + timedelta(minutes=minute), START)
    assert add(None, event, now=START).hour == START
