"""Errors, in the words that the SDKs make their exceptions of."""

import pytest

from processors.api.refusals import Refusal, refusal_of
from schemas.calls import FailureKind
from schemas.outcomes import ErrorInfo


@pytest.mark.parametrize(
    ("kind", "status", "openai", "anthropic"),
    [
        ("rate_limited", 429, "rate_limit_error", (429, "rate_limit_error")),
        ("unreachable", 503, "server_error", (529, "overloaded_error")),
        ("expired", 504, "server_error", (504, "timeout_error")),
        ("unauthorized", 502, "server_error", (502, "api_error")),
        ("unknown_model", 404, "invalid_request_error", (404, "not_found_error")),
        ("context_too_long", 400, "invalid_request_error", (400, "invalid_request_error")),
        ("conflict", 409, "invalid_request_error", (409, "invalid_request_error")),
    ],
)
def test_a_failure_has_a_status_and_a_type(kind: str, status: int, openai: str, anthropic: tuple[int, str]) -> None:
    refusal = refusal_of(ErrorInfo(kind, "why"))
    assert refusal.status == status
    assert refusal.openai()["error"]["type"] == openai
    assert (refusal.anthropic_status, refusal.anthropic("req-1")["error"]["type"]) == anthropic


@pytest.mark.parametrize("kind", list(FailureKind))
def test_no_failure_passes_for_a_success(kind: FailureKind) -> None:
    assert 400 <= refusal_of(ErrorInfo(kind.value, "why")).status <= 599


def test_only_what_may_be_tried_again_says_when() -> None:
    assert refusal_of(ErrorInfo("overloaded", "why", retryable=True)).retry_after_s == 5
    assert refusal_of(ErrorInfo("overloaded", "why")).retry_after_s is None


def test_the_field_at_fault_is_named() -> None:
    error = Refusal(400, "invalid_request", "why", "messages").openai()["error"]
    assert (error["param"], error["code"]) == ("messages", "invalid_request")
