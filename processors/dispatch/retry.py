"""What a failure leads to, and how long to wait. The same for every provider."""

import math
import zlib
from datetime import datetime, timedelta
from enum import Enum, auto

from processors.dispatch.policy import DispatchPolicy
from schemas.calls import Billing, Failure, FailureKind


class Verdict(Enum):
    """What a failure means for the request."""

    RETRY = auto()
    """Another call may succeed, at this candidate too."""
    NEXT_CANDIDATE = auto()
    """This candidate can never answer the request; another may."""
    GIVE_UP = auto()
    """No candidate can, or none may be asked."""


_INDETERMINATE = frozenset({FailureKind.TIMED_OUT, FailureKind.INTERRUPTED, FailureKind.CANCELLED, FailureKind.MALFORMED_REPLY})
_CANDIDATE_ONLY = frozenset({FailureKind.UNAUTHORIZED, FailureKind.NOT_FOUND, FailureKind.CONTEXT_TOO_LONG})
_SAFE = frozenset(
    {
        FailureKind.RATE_LIMITED,
        FailureKind.LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.SERVER_ERROR,
        FailureKind.UNREACHABLE,
    }
)
_NEVER_SENT = frozenset({FailureKind.UNREACHABLE, FailureKind.EXPIRED, FailureKind.LIMITED})


def verdict(failure: Failure, policy: DispatchPolicy) -> Verdict:
    """Retry is safe when nothing was sent and when the provider answered that it did not serve the call.

    A call that may have been billed is called again only if the policy allows. What is not named here is not retried.
    """
    if failure.kind in _CANDIDATE_ONLY:
        return Verdict.NEXT_CANDIDATE
    if failure.kind in _SAFE:
        return Verdict.RETRY
    if failure.kind in _INDETERMINATE:
        return Verdict.RETRY if failure.billing is Billing.NOT_BILLED or policy.retry_indeterminate else Verdict.GIVE_UP
    return Verdict.GIVE_UP


def was_sent(failure: Failure) -> bool:
    """Whether the call may have reached the provider, and so counts as an attempt."""
    return not (failure.kind in _NEVER_SENT and failure.billing is Billing.NOT_BILLED)


def backoff_s(attempt: int, *, base_s: float, cap_s: float, jitter: float) -> float:
    """Seconds to wait before the call that follows `attempt`, the first being 1.

    Full jitter: the wait is uniform between zero and the exponential bound, because workers that fail together would
    otherwise return together (AWS Architecture Blog, "Exponential Backoff And Jitter"). `jitter` is in [0, 1) and comes
    from the caller, which keeps this function replayable.

    >>> backoff_s(3, base_s=0.5, cap_s=8.0, jitter=0.5)
    1.0
    """
    return min(cap_s, base_s * 2.0 ** min(attempt - 1, 30)) * jitter


def jitter_of(request_key: str, attempt: int) -> float:
    """A number in [0, 1) that is the request's and the attempt's own: spread over requests, the same in every replay.

    >>> 0.0 <= jitter_of("acme/r1", 1) < 1.0
    True
    """
    return zlib.crc32(f"{request_key}#{attempt}".encode()) / 2**32


def own_s(request_key: str, attempt: int, policy: DispatchPolicy) -> float:
    """Seconds to park after a failure that named no time."""
    return backoff_s(attempt, base_s=policy.retry_base_s, cap_s=policy.retry_cap_s, jitter=jitter_of(request_key, attempt))


def wait_s(failure: Failure, request_key: str, attempt: int, policy: DispatchPolicy) -> float:
    """Seconds to park after a failure: what the provider asked, made sane, or else the backoff.

    A Retry-After below zero counts as zero, one beyond `retry_after_cap_s` as that; some of the request's own backoff is
    added, so that all who were told the same time do not return in the same instant. The whole backoff is waited at least:
    who is told to return at once, again and again, must not spend all attempts within a moment.
    """
    own = own_s(request_key, attempt, policy)
    if failure.retry_after_s is None or math.isnan(failure.retry_after_s):
        return own
    asked_s = min(max(failure.retry_after_s, 0.0), policy.retry_after_cap_s)
    return max(own, asked_s + min(own, policy.retry_base_s))


def asked_until(failure: Failure, request_key: str, attempt: int, policy: DispatchPolicy, *, now: datetime) -> datetime | None:
    """Until when the deployment asked not to be called again; None when it named no time."""
    if failure.retry_after_s is None or math.isnan(failure.retry_after_s):
        return None
    return now + timedelta(seconds=wait_s(failure, request_key, attempt, policy))
