"""What a worker says of a call."""

from datetime import timedelta

import pytest

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, CallPhase, Failure, FailureKind, Output, Usage
from schemas.health import HealthOutcome
from streams.workers import reports
from tests.unit.providers.calls import NOW, order

STARTED = reports.Started(order(), "c1", "w1", NOW, timeout_s=30.0)
LATER = NOW + timedelta(seconds=2)
ANSWER = Completion(Output(content="Hi"), Usage(3, 2), first_token_ms=7)


def failed(kind, billing=Billing.UNKNOWN, usage=None):
    return Failed(Failure(kind, "why", billing, http_status=503, retry_after_s=7.0), usage)


def test_started_tells_by_when_the_call_counts_as_lost():
    report = reports.started(STARTED, grace_s=10.0)
    assert (report.phase, report.started_at, report.lost_at) == (CallPhase.STARTED, NOW, NOW + timedelta(seconds=40))
    assert (report.input_tokens_estimate, report.output_tokens_bound) == (20, 100)


def test_an_answer_completes_the_call():
    report = reports.finished(STARTED, ANSWER, now=LATER, latency_ms=2000)
    assert (report.phase, report.output.content, report.usage, report.failure) == (CallPhase.COMPLETED, "Hi", Usage(3, 2), None)
    assert (report.first_token_ms, report.latency_ms, report.started_at, report.reported_at) == (7, 2000, NOW, LATER)


def test_a_failure_keeps_the_usage_that_was_told():
    report = reports.finished(STARTED, failed(FailureKind.MALFORMED_REPLY, Billing.BILLED, Usage(3, 2)), now=LATER, latency_ms=5)
    assert (report.phase, report.output, report.usage) == (CallPhase.FAILED, None, Usage(3, 2))
    assert report.failure.billing is Billing.BILLED


def test_an_order_that_was_not_called_has_no_start():
    report = reports.refused(order(), reports.expired().failure, call_id="c1", worker="w1", now=NOW)
    assert (report.phase, report.started_at, report.failure.kind) == (CallPhase.FAILED, None, FailureKind.EXPIRED)
    assert report.failure.billing is Billing.NOT_BILLED


def test_success_is_health():
    event = reports.health(STARTED, ANSWER, in_flight=3, now=LATER, latency_ms=2000)
    assert (event.outcome, event.output_tokens, event.in_flight, event.latency_ms) == (HealthOutcome.SUCCESS, 2, 3, 2000)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_failures_of_the_request_say_nothing_of_the_deployment(kind):
    event = reports.health(STARTED, failed(kind), in_flight=1, now=LATER, latency_ms=5)
    silent = {FailureKind.EXPIRED, FailureKind.CANCELLED, FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG, FailureKind.LIMITED}
    if kind in silent:
        assert event is None
    else:
        assert (event.outcome, event.failure_kind, event.http_status, event.retry_after_s) == (
            HealthOutcome.FAILURE,
            kind.value,
            503,
            7.0,
        )


@pytest.mark.parametrize(("connected", "billing"), [(True, Billing.UNKNOWN), (False, Billing.NOT_BILLED)])
def test_a_call_that_was_cut_off_may_have_been_billed_once_it_was_connected(connected, billing):
    assert reports.cancelled(connected=connected).failure.billing is billing


def test_what_nobody_thought_of_is_named_by_its_type_alone():
    found = reports.unforeseen(ValueError("the prompt was SECRET"))
    assert "ValueError" in found.failure.message
    assert "SECRET" not in found.failure.message
