"""Usage reports beside the ledger: sums by time and model."""

from dataclasses import replace
from datetime import timedelta

from processors.reconcile.buckets import Comparison
from processors.reconcile.lines import Bucket, Told
from schemas.calls import Usage
from schemas.ledger import CostEvent, CostKind
from tests.fakes.records import T0
from tests.unit.reconcile.both_sides import T0_US

HOUR_US = 3_600_000_000


def bucket(told, *, model="gpt-4o-mini-2024-07-18", hours=0, requests=None):
    start_us = T0_US + hours * HOUR_US
    return Bucket("openai", model, start_us, start_us + HOUR_US, told, requests)


def event(usage, *, minutes=0, **changes):
    fields = {
        "event_id": "c1",
        "kind": CostKind.CALL,
        "request_id": "r1",
        "tenant": "acme",
        "lane": "acme",
        "provider": "openai",
        "deployment": "openai/gpt-4o-mini",
        "model": "gpt-4o-mini",
        "occurred_at": T0 + timedelta(minutes=minutes),
        "recorded_at": T0,
        "usage": usage,
    }
    return CostEvent(**(fields | changes))


def test_what_agrees_has_no_differences():
    compared = Comparison([bucket(Told(30, 15, 4, None), requests=2)])
    assert compared.add(event(Usage(10, 5, 4)))
    assert compared.add(event(Usage(20, 10), response_model="gpt-4o-mini-2024-07-18", minutes=59))
    (row,) = compared.rows()
    assert (row.differences, row.ours.calls, row.model) == ({}, 2, "gpt-4o-mini")


def test_differences_are_what_the_provider_has_more():
    compared = Comparison([bucket(Told(30, 15, 4, 0))])
    compared.add(event(Usage(40, 5), estimated=True))
    (row,) = compared.rows()
    assert row.differences == {"input_tokens": -10, "output_tokens": 10, "cache_read_input_tokens": 4}
    assert row.ours.estimated_calls == 1


def test_an_adjustment_counts_in_the_bucket_of_its_call():
    compared = Comparison([bucket(Told(10, 30))])
    compared.add(event(Usage(10, 100), estimated=True))
    compared.add(event(Usage(0, -70), kind=CostKind.ADJUSTED, event_id="c1/adjusted/1", replaces_estimate=True))
    (row,) = compared.rows()
    assert (row.differences, row.ours.calls, row.ours.estimated_calls) == ({}, 1, 0)


def test_results_of_one_model_are_added_up():
    (row,) = Comparison([bucket(Told(1, 2), requests=1), bucket(Told(3, 4), model="gpt-4o-mini", requests=2)]).rows()
    assert (row.theirs.input_tokens, row.theirs.output_tokens, row.theirs.calls) == (4, 6, 3)


def test_a_report_that_is_not_by_model_is_compared_as_a_whole():
    compared = Comparison([bucket(Told(30, 15), model=None)])
    compared.add(event(Usage(10, 5)))
    compared.add(event(Usage(20, 10), model="gpt-4o"))
    (row,) = compared.rows()
    assert row.differences == {}


def test_a_model_that_the_report_lacks_has_a_row_of_its_own():
    compared = Comparison([bucket(Told(0, 0))])
    compared.add(event(Usage(20, 10), model="gpt-4o"))
    assert {row.model: row.differences for row in compared.rows()} == {
        "gpt-4o-mini": {},
        "gpt-4o": {"input_tokens": -20, "output_tokens": -10},
    }


def test_what_no_bucket_covers_is_left_out():
    compared = Comparison([bucket(Told(0, 0)), bucket(Told(0, 0), hours=2)])
    assert not compared.add(event(Usage(1, 1), minutes=-1))
    assert not compared.add(event(Usage(1, 1), minutes=60)), "between two buckets"
    assert not compared.add(event(Usage(1, 1), minutes=180))
    assert not compared.add(event(Usage(1, 1), provider="anthropic"))
    assert not compared.add(replace(event(None), kind=CostKind.CACHE_HIT))
    assert compared.add(event(Usage(1, 1), minutes=120))


def test_a_call_that_was_not_billed_is_no_request():
    compared = Comparison([bucket(Told(0, 0), requests=0)])
    compared.add(event(None))
    (row,) = compared.rows()
    assert row.ours.calls == 0
