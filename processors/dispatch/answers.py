"""The one final response of a request, and the notices to an id that is sent again."""

from dataclasses import dataclass
from datetime import datetime

from processors.dispatch.decision import Decision
from processors.dispatch.state import Finished, LaneState, PutRequest, request_key
from schemas.calls import CallReported, Failure, FailureKind, Output, Usage
from schemas.ledger import CostEvent, PricingStatus
from schemas.outcomes import CacheState, ErrorInfo, InferenceResponse, ResponseStatus
from schemas.routing import CachedAnswer, RequestRouted
from schemas.state import RequestPhase, RequestState

RETRYABLE = frozenset(
    {"rate_limited", "limited", "overloaded", "server_error", "unreachable", "timed_out", "interrupted", "expired"}
)

OWN_FAULTS = frozenset({FailureKind.REJECTED, FailureKind.CONTEXT_TOO_LONG})
"""Failures that the same request would meet again, whoever is asked."""


CANCELLED = ErrorInfo("cancelled", "its sender has cancelled this request; send it under a new id if it is wanted after all")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request has cost so far: None once a price was unknown."""

    cost_nanousd: int | None = 0

    def plus(self, event: CostEvent | None) -> "Spent":
        if event is None:
            return self
        if self.cost_nanousd is None or event.cost_nanousd is None:
            return Spent(None)
        return Spent(self.cost_nanousd + event.cost_nanousd)


def finish(
    routed: RequestRouted,
    decision: Decision,
    status: ResponseStatus,
    *,
    attempts: int,
    spent: Spent,
    now: datetime,
    answer: CallReported | None = None,
    usage: Usage | None = None,
    error: ErrorInfo | None = None,
    cached: CachedAnswer | None = None,
    shared: bool = False,
    output: Output | None = None,
) -> InferenceResponse:
    """Emit the final response, remember that the request is finished, and return the response.

    It says what a call answered, an earlier answer, or `output`; `shared`: the earlier answer is that of a request that was
    under way at the same time.
    """
    if answer is not None:
        output = answer.output
    if cached is not None:
        output, usage = cached.output, cached.usage
    response = _response(
        routed,
        status,
        final=True,
        attempts=attempts,
        spent=spent,
        now=now,
        answer=answer,
        usage=usage,
        error=error,
        cached=cached,
        output=output,
        cache=CacheState.SHARED if shared else _cache_state(routed, cached if status is ResponseStatus.OK else None),
    )
    decision.records.append(response)
    state = RequestState(
        phase=RequestPhase.FINISHED,
        tenant=routed.tenant,
        request_id=routed.request_id,
        body_digest=routed.body_digest,
        attempt=attempts,
        candidate=0,
        sent=0,
        deadline=routed.deadline,
        cost_nanousd=spent.cost_nanousd,
        status=status.value,
        finished_at=now,
    )
    decision.changes.append(PutRequest(request_key(routed.tenant, routed.request_id), state, None))
    return response


def give_up(
    routed: RequestRouted, state: RequestState, decision: Decision, failure: Failure | None, *, spent: Spent, now: datetime
) -> InferenceResponse:
    """The final response of a request that no further call may save: the operator's fallback, or the error."""
    if failure is None:
        error = ErrorInfo("no_candidate", "no deployment is left that could take this request", retryable=True)
    else:
        error = ErrorInfo(failure.kind.value, failure.message, retryable=failure.kind.value in RETRYABLE)
    own_fault = failure is not None and failure.kind in OWN_FAULTS
    return _finish_without(
        routed, decision, ResponseStatus.ERROR, error, attempts=state.attempt, spent=spent, now=now, own_fault=own_fault
    )


def expire(
    routed: RequestRouted, decision: Decision, *, attempts: int, spent: Spent, last: Failure | None, now: datetime
) -> None:
    """The final response of a request whose deadline has come."""
    why = f"; the last call failed: {last.message}" if last else ""
    error = ErrorInfo("expired", f"no answer came before the deadline{why}", retryable=True)
    _finish_without(routed, decision, ResponseStatus.EXPIRED, error, attempts=attempts, spent=spent, now=now)


def cancel(routed: RequestRouted, state: RequestState, decision: Decision, *, now: datetime) -> None:
    """The final response of a request that its sender has cancelled; no fallback stands in for it."""
    spent = Spent(state.cost_nanousd)
    finish(routed, decision, ResponseStatus.ERROR, attempts=state.attempt, spent=spent, now=now, error=CANCELLED)


def _finish_without(
    routed: RequestRouted,
    decision: Decision,
    status: ResponseStatus,
    error: ErrorInfo,
    *,
    attempts: int,
    spent: Spent,
    now: datetime,
    own_fault: bool = False,
) -> InferenceResponse:
    """The final response when no provider has answered. What is the request's own fault is told, and not papered over."""
    fallback = None if own_fault else routed.fallback
    if fallback is None:
        return finish(routed, decision, status, attempts=attempts, spent=spent, now=now, error=error)
    output = Output(content=fallback.text, finish_reason="stop") if fallback.cached is None else None
    return finish(
        routed,
        decision,
        ResponseStatus.FALLBACK,
        attempts=attempts,
        spent=spent,
        now=now,
        error=error,
        cached=fallback.cached,
        output=output,
    )


def repeat(state: LaneState, key: str, routed: RequestRouted, decision: Decision, *, now: datetime) -> None:
    """An id sent again: a conflict when its body differs; of a finished one with the same body, where its final stands."""
    first = state.finished.get(key) or state.open[key].state
    if first.body_digest != routed.body_digest:
        message = "this request_id was sent before with another body; choose a new request_id for a new request"
        decision.records.append(_notice(routed, ResponseStatus.CONFLICT, ErrorInfo("conflict", message), now=now))
    elif isinstance(first, Finished):
        message = (
            f"this request was answered ({first.status}) at {first.finished_at.isoformat()}; "
            "its final response stands in ai.responses under this key"
        )
        decision.records.append(_notice(routed, ResponseStatus.DUPLICATE, ErrorInfo("duplicate", message), now=now))


def _notice(routed: RequestRouted, status: ResponseStatus, error: ErrorInfo, *, now: datetime) -> InferenceResponse:
    return _response(routed, status, final=False, attempts=0, spent=Spent(), now=now, error=error)


def _response(
    routed: RequestRouted,
    status: ResponseStatus,
    *,
    final: bool,
    attempts: int,
    spent: Spent,
    now: datetime,
    answer: CallReported | None = None,
    usage: Usage | None = None,
    error: ErrorInfo | None = None,
    cached: CachedAnswer | None = None,
    output: Output | None = None,
    cache: CacheState = CacheState.NONE,
) -> InferenceResponse:
    """What is told of a request. Only a final response may be cached, and says under which key."""
    return InferenceResponse(
        request_id=routed.request_id,
        tenant=routed.tenant,
        final=final,
        status=status,
        request_model=routed.request_model,
        attempts=attempts,
        task_kind=routed.task_kind,
        policy=routed.policy,
        received_at=routed.received_at,
        answered_at=now,
        user=routed.user,
        session=routed.session,
        operation=routed.operation,
        output=output,
        error=error,
        usage=usage,
        cost_nanousd=spent.cost_nanousd,
        pricing_status=_pricing(spent, attempts),
        provider=answer.provider if answer else cached.provider if cached else None,
        deployment=answer.deployment if answer else cached.deployment if cached else None,
        response_model=output.response_model if output else None,
        call_id=answer.call_id if answer else None,
        cache=cache,
        cache_key=routed.cache_key if final else None,
        cache_ttl_s=routed.cache_ttl_s if final else None,
        metadata=routed.metadata,
        served_by=cached.request_id if cached else None,
        similarity=cached.similarity if cached else None,
        arm=routed.arm,
        compare=routed.compare if answer is not None else None,
    )


def _cache_state(routed: RequestRouted, cached: CachedAnswer | None) -> CacheState:
    if cached is not None:
        return CacheState.HIT if cached.similarity is None else CacheState.SEMANTIC
    return CacheState.MISS if routed.cache_key else CacheState.NONE


def _pricing(spent: Spent, attempts: int) -> PricingStatus:
    if spent.cost_nanousd is None:
        return PricingStatus.UNKNOWN
    return PricingStatus.PRICED if attempts else PricingStatus.NOT_BILLED
