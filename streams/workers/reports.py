"""What a worker says of a call: CallReported, HealthEvent. Plain functions of the order, the outcome and the time."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, CallOrdered, CallPhase, CallReported, Failure, FailureKind, Usage
from schemas.health import HealthEvent, HealthOutcome

_OF_THE_REQUEST = frozenset(
    {FailureKind.EXPIRED, FailureKind.CANCELLED, FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG, FailureKind.LIMITED}
)
"""Failures that tell nothing about the deployment."""


@dataclass(frozen=True, slots=True)
class Started:
    """A call that is about to be made."""

    order: CallOrdered
    call_id: str
    worker: str
    at: datetime
    timeout_s: float


def started(call: Started, *, grace_s: float) -> CallReported:
    """The report that must stand before the first byte goes out. With no word after it by `lost_at` the call counts as lost."""
    lost_at = call.at + timedelta(seconds=call.timeout_s + grace_s)
    return replace(
        _report(call.order, call.call_id, CallPhase.STARTED, call.worker, call.at), started_at=call.at, lost_at=lost_at
    )


def finished(call: Started, outcome: Completion | Failed, *, now: datetime, latency_ms: int) -> CallReported:
    """The report of what came of a started call."""
    phase = CallPhase.COMPLETED if isinstance(outcome, Completion) else CallPhase.FAILED
    report = replace(
        _report(call.order, call.call_id, phase, call.worker, now), started_at=call.at, latency_ms=latency_ms, usage=outcome.usage
    )
    if isinstance(outcome, Completion):
        return replace(report, output=outcome.output, first_token_ms=outcome.first_token_ms)
    return replace(report, failure=outcome.failure)


def refused(order: CallOrdered, failure: Failure, *, call_id: str, worker: str, now: datetime) -> CallReported:
    """The report of an order for which no call was started."""
    return replace(_report(order, call_id, CallPhase.FAILED, worker, now), failure=failure)


def health(call: Started, outcome: Completion | Failed, *, in_flight: int, now: datetime, latency_ms: int) -> HealthEvent | None:
    """What the call tells about its deployment; None when its failure was the request's or ours."""
    event = HealthEvent(
        deployment=call.order.deployment,
        provider=call.order.provider,
        model=call.order.model,
        worker=call.worker,
        outcome=HealthOutcome.SUCCESS,
        in_flight=in_flight,
        observed_at=now,
        latency_ms=latency_ms,
        call_id=call.call_id,
        limits=outcome.limits,
    )
    if isinstance(outcome, Completion):
        tokens = None if outcome.usage is None else outcome.usage.output_tokens
        return replace(event, first_token_ms=outcome.first_token_ms, output_tokens=tokens)
    failure = outcome.failure
    if failure.kind in _OF_THE_REQUEST:
        return None
    return replace(
        event,
        outcome=HealthOutcome.FAILURE,
        failure_kind=failure.kind.value,
        http_status=failure.http_status,
        retry_after_s=failure.retry_after_s,
    )


def expired() -> Failed:
    """The deadline passed before anything was sent."""
    return Failed(Failure(FailureKind.EXPIRED, "the deadline passed before the call was made", Billing.NOT_BILLED))


def limited(deployment: str, wait_s: float) -> Failed:
    """The operator's own limit is reached: nothing was sent."""
    message = f"{deployment} has reached the calls or tokens a minute that the catalogue allows it"
    return Failed(Failure(FailureKind.LIMITED, message, Billing.NOT_BILLED, retry_after_s=wait_s))


def cancelled(*, connected: bool) -> Failed:
    """The worker had to stop in the middle of the call."""
    billing = Billing.UNKNOWN if connected else Billing.NOT_BILLED
    return Failed(Failure(FailureKind.CANCELLED, "the worker stopped before the call had ended", billing))


def withdrawn(billing: Billing = Billing.NOT_BILLED, usage: Usage | None = None) -> Failed:
    """The sender has cancelled the request: nothing was sent, or the call was cut off."""
    return Failed(Failure(FailureKind.CANCELLED, "the sender has cancelled the request", billing), usage)


def too_large(outcome: Completion | Failed, why: str) -> Failed:
    """An answer that does not fit into a record. It was billed; its usage is kept."""
    failure = Failure(FailureKind.REJECTED, f"the answer does not fit into a record ({why}); ask for less", Billing.BILLED)
    return Failed(failure, outcome.usage)


def unforeseen(error: BaseException) -> Failed:
    """A call that ended in a way nobody thought of: named by its type alone, as the text may quote the prompt."""
    return Failed(Failure(FailureKind.REJECTED, f"the call ended with {type(error).__name__}, which its adapter does not name"))


def _report(order: CallOrdered, call_id: str, phase: CallPhase, worker: str, now: datetime) -> CallReported:
    return CallReported(
        call_id=call_id,
        phase=phase,
        request_id=order.request_id,
        attempt=order.attempt,
        tenant=order.tenant,
        lane=order.lane,
        deployment=order.deployment,
        provider=order.provider,
        model=order.model,
        worker=worker,
        reported_at=now,
        input_tokens_estimate=order.input_tokens_estimate,
        output_tokens_bound=order.output_tokens_bound,
        arm=order.arm,
    )
