"""How long a failed request waits before it is called again."""

import pytest

from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.retry import backoff_s, jitter_of, wait_s
from schemas.calls import Failure, FailureKind

POLICY = DispatchPolicy()


def limited(asked_s: float) -> Failure:
    return Failure(FailureKind.RATE_LIMITED, "429", retry_after_s=asked_s)


def own_s(key: str, attempt: int) -> float:
    return backoff_s(attempt, base_s=POLICY.retry_base_s, cap_s=POLICY.retry_cap_s, jitter=jitter_of(key, attempt))


@pytest.mark.parametrize("asked_s", [-1.0, 0.0, 0.2])
def test_a_provider_that_says_at_once_again_and_again_does_not_cost_all_attempts_in_a_moment(asked_s):
    for number in range(50):
        key = f"acme/r{number}"
        assert all(wait_s(limited(asked_s), key, attempt, POLICY) >= own_s(key, attempt) for attempt in range(1, 8))


@pytest.mark.parametrize(("asked_s", "at_least_s"), [(20.0, 20.0), (1e9, 120.0)])
def test_the_time_asked_for_is_waited_and_a_little_more_that_is_the_requests_own(asked_s, at_least_s):
    waits = {wait_s(limited(asked_s), f"acme/r{number}", 1, POLICY) for number in range(50)}
    assert len(waits) > 40
    assert all(at_least_s <= wait <= at_least_s + POLICY.retry_base_s for wait in waits)
