from datetime import UTC, datetime

import pytest

from schemas.calls import Usage
from schemas.outcomes import CacheState, ErrorInfo, InferenceResponse, ResponseStatus
from streams.cli.answers import Answered, Summary
from streams.cli.exits import ExitCode
from streams.cli.report import Report

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def answer(status=ResponseStatus.OK, latency_ms=10.0, **more):
    fields = {"final": True, "cost_nanousd": 5, "provider": "openai", "usage": Usage(3, 4), **more}
    return Answered(
        InferenceResponse("r", "t", status=status, request_model="m", attempts=1, task_kind="chat", policy="p",
                          received_at=NOW, answered_at=NOW, **fields), latency_ms)  # fmt: skip


def summed(*answers):
    summary = Summary()
    for each in answers:
        summary.add(each)
    return summary


def test_sums():
    summary = summed(
        answer(latency_ms=1),
        answer(latency_ms=2, provider="anthropic"),
        answer(latency_ms=3, cache=CacheState.HIT, cost_nanousd=0),
        answer(
            ResponseStatus.ERROR, latency_ms=100, cost_nanousd=None, provider=None, usage=None, error=ErrorInfo("rejected", "no")
        ),
    )
    found = summary.as_json()
    assert found["by_status"] == {"ok": 3, "error": 1}
    assert found["by_provider"] == {"openai": 1, "anthropic": 1}
    assert (found["cache_hits"], found["cost_nanousd"], found["unpriced"]) == (1, 10, 1)
    assert (found["input_tokens"], found["output_tokens"]) == (6, 8)  # a cache hit used none
    assert found["errors"] == {"rejected": 1}
    assert found["latency_ms"] == {"p50": 3.0, "p95": 100.0}


@pytest.mark.parametrize(
    ("statuses", "clean"),
    [
        ([], True),
        ([ResponseStatus.OK, ResponseStatus.DUPLICATE], True),
        ([ResponseStatus.OK, ResponseStatus.ERROR], False),
        ([ResponseStatus.EXPIRED], False),
        ([ResponseStatus.CONFLICT], False),
    ],
)
def test_answered_before_is_as_good_as_answered(statuses, clean):
    assert summed(*(answer(status) for status in statuses)).clean is clean


def test_exit_codes():
    ok = summed(answer())
    assert Report(published=1, answers=ok).exit_code is ExitCode.OK
    assert Report(published=1).exit_code is ExitCode.OK
    assert Report(published=1, bad_count=1, answers=ok).exit_code is ExitCode.NO
    assert Report(answers=summed(answer(ResponseStatus.ERROR))).exit_code is ExitCode.NO
    assert Report(answers=ok, error="x").exit_code is ExitCode.NO
    assert Report(answers=ok, unanswered=1, bad_count=1).exit_code is ExitCode.TIMEOUT
