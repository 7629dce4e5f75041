"""Ordering a call of a candidate, or parking until one may be called."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from processors.dispatch import circuit
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import RequestDue
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.retry import was_sent
from processors.dispatch.state import LaneState, PutCircuit, PutRequest, request_key
from schemas.calls import CallOrdered, CallReported, FailureKind
from schemas.routing import Candidate, CandidateUse, RequestRouted
from schemas.state import Awaited, RequestPhase, RequestState, Wait

_FAR_FUTURE_S = 10**9


def received(routed: RequestRouted) -> RequestState:
    """The state of a request before its first order."""
    return RequestState(
        phase=RequestPhase.PARKED,
        tenant=routed.tenant,
        request_id=routed.request_id,
        body_digest=routed.body_digest,
        attempt=0,
        candidate=0,
        sent=0,
        deadline=routed.deadline,
        cost_nanousd=0,
    )


def admissible(
    state: LaneState, routed: RequestRouted, request: RequestState, *, now: datetime, skip: Iterable[int] = ()
) -> int | None:
    """Index of the best candidate that may be called now, or None: none that asked to be left alone for longer."""
    skipped = {*skip, *(wait.candidate for wait in request.waits if wait.until > now)}
    for index in left(routed, request):
        if index not in skipped and circuit.admits(state.circuits.get(routed.candidates[index].deployment), now=now):
            return index
    return None


def left(routed: RequestRouted, request: RequestState) -> list[int]:
    """The candidates, by index, that may yet answer the request: fallbacks last, those for long inputs once one was too long."""
    excluded, candidates = request.excluded, routed.candidates
    found = [
        index
        for index, candidate in enumerate(candidates)
        if index not in excluded and (candidate.use is not CandidateUse.CONTEXT or request.too_long)
    ]
    return sorted(found, key=lambda index: candidates[index].use is CandidateUse.FALLBACK)


def all_down(state: LaneState, routed: RequestRouted, request: RequestState) -> bool:
    """Whether the circuit of every candidate left is open."""
    circuits = [state.circuits.get(routed.candidates[index].deployment) for index in left(routed, request)]
    return all(found is not None and found.open_until is not None for found in circuits)


def waits_for_circuit(request: RequestState) -> bool:
    """Whether a parked request waits for a deployment to come back, and not for the time that a provider named."""
    return request.last_failure is None or request.last_failure.kind in circuit.DOWN


def next_at(state: LaneState, routed: RequestRouted, request: RequestState, *, again_at: datetime, now: datetime) -> datetime:
    """When the first of the candidates left may be called: as it asked, else at `again_at`, if its circuit admits a call."""
    asked = {wait.candidate: wait.until for wait in request.waits}
    return max(
        now, min((max(asked.get(i, again_at), _admitted_at(state, routed, i) or now) for i in left(routed, request)), default=now)
    )


def _admitted_at(state: LaneState, routed: RequestRouted, index: int) -> datetime | None:
    found = state.circuits.get(routed.candidates[index].deployment)
    return None if found is None else found.open_until


def order(
    state: LaneState,
    routed: RequestRouted,
    request: RequestState,
    index: int,
    decision: Decision,
    *,
    policy: DispatchPolicy,
    now: datetime,
) -> None:
    """Order one call of the candidate at `index`; beside an order that is awaited, as a hedge."""
    candidate = routed.candidates[index]
    if (probed := circuit.after_probe(state.circuits.get(candidate.deployment), now=now, policy=policy)) is not None:
        decision.changes.append(PutCircuit(probed))
    attempt = request.attempt + 1
    decision.records.append(
        CallOrdered(
            request_id=routed.request_id,
            attempt=attempt,
            tenant=routed.tenant,
            lane=routed.lane,
            deployment=candidate.deployment,
            provider=candidate.provider,
            model=candidate.model,
            operation=routed.operation,
            request=routed.request,
            input_tokens_estimate=_input_bound(routed, candidate),
            output_tokens_bound=candidate.output_tokens_bound,
            stream=routed.stream,
            timeout_ms=candidate.timeout_ms,
            ordered_at=now,
            deadline=routed.deadline,
            arm=routed.arm,
            hedge=bool(request.awaited),
        )
    )
    key = request_key(routed.tenant, routed.request_id)
    ordered = replace(
        request,
        phase=RequestPhase.ORDERED,
        attempt=attempt,
        candidate=index,
        not_before=None,
        awaited=(*request.awaited, Awaited(attempt, index)),
        hedge_at=_hedge_at(routed, request, now),
    )
    decision.changes.append(PutRequest(key, ordered, routed))
    decision.timers.append(Timer(ordered.hedge_at or routed.deadline, RequestDue(key)))


def _input_bound(routed: RequestRouted, candidate: Candidate) -> int:
    """The input that a call of this candidate is charged for if it is lost: the estimate, as intake calibrated it."""
    return routed.input_tokens_estimate if candidate.input_tokens_bound is None else candidate.input_tokens_bound


def _hedge_at(routed: RequestRouted, request: RequestState, now: datetime) -> datetime | None:
    """When a second call goes out beside the first one of a request; None: never."""
    if routed.hedge_after_ms is None or request.attempt > 0:
        return None
    at = now + timedelta(milliseconds=routed.hedge_after_ms)
    return at if at < routed.deadline else None


def hedge(
    state: LaneState, routed: RequestRouted, request: RequestState, decision: Decision, *, policy: DispatchPolicy, now: datetime
) -> None:
    """A second call, to the next candidate that is well and no fallback; none when the request has no attempt left for it."""
    key, asked = request_key(routed.tenant, routed.request_id), [order.candidate for order in request.awaited]
    skipped = [*request.tried, *asked, *_unwell(state, routed)]
    index = admissible(state, routed, request, now=now, skip=skipped)
    if index is None or request.sent + len(asked) >= policy.max_attempts:
        decision.changes.append(PutRequest(key, replace(request, hedge_at=None), routed))
        decision.timers.append(Timer(routed.deadline, RequestDue(key)))
        return
    order(state, routed, request, index, decision, policy=policy, now=now)


def _unwell(state: LaneState, routed: RequestRouted) -> list[int]:
    """The candidates that no hedge goes to: their circuit is open, or they are for when no other is left."""
    return [
        index
        for index, candidate in enumerate(routed.candidates)
        if candidate.use is CandidateUse.FALLBACK
        or ((found := state.circuits.get(candidate.deployment)) is not None and found.open_until is not None)
    ]


def park(
    state: LaneState,
    routed: RequestRouted,
    request: RequestState,
    decision: Decision,
    *,
    wait_s: float,
    policy: DispatchPolicy,
    now: datetime,
) -> None:
    """Wait until the first candidate may be called again: after `wait_s`, or as it asked, and longer while it is down.

    With one attempt left and everything down, wait for half of the remaining time: another request's probe, or none, may tell.
    """
    until = next_at(state, routed, request, again_at=now + timedelta(seconds=min(wait_s, _FAR_FUTURE_S)), now=now)
    if all_down(state, routed, request) and request.sent >= policy.max_attempts - 1:
        until = max(until, now + (request.deadline - now) / 2)
    until = min(until, request.deadline)
    key = request_key(routed.tenant, routed.request_id)
    parked = replace(request, phase=RequestPhase.PARKED, tried=(), not_before=until, awaited=(), hedge_at=None)
    decision.changes.append(PutRequest(key, parked, routed))
    decision.timers.append(Timer(until, RequestDue(key)))


def after(
    request: RequestState,
    routed: RequestRouted,
    report: CallReported,
    *,
    exclude: bool,
    cost_nanousd: int | None,
    asked_until: datetime | None = None,
) -> RequestState:
    """The request with one failure of one of its orders more; `asked_until`: when the deployment asked to be called again."""
    failure = report.failure
    if failure is None:
        return request
    too_long = failure.kind is FailureKind.CONTEXT_TOO_LONG
    same = _same(routed, report.deployment)
    others = tuple(wait for wait in request.waits if wait.candidate not in same)
    return replace(
        request,
        sent=request.sent + was_sent(failure),
        tried=(*request.tried, *same),
        waits=others if asked_until is None else (*others, *(Wait(index, asked_until) for index in same)),
        excluded=(*request.excluded, *_unfit(routed, report.deployment, too_long=too_long)) if exclude else request.excluded,
        cost_nanousd=cost_nanousd,
        last_failure=failure,
        awaited=tuple(order for order in request.awaited if order.attempt != report.attempt),
        too_long=request.too_long or too_long,
    )


def _same(routed: RequestRouted, deployment: str) -> list[int]:
    return [index for index, candidate in enumerate(routed.candidates) if candidate.deployment == deployment]


def _unfit(routed: RequestRouted, deployment: str, *, too_long: bool) -> list[int]:
    """The candidates that can never answer, now that one of them cannot: where the input is too long, all that take less."""
    same = _same(routed, deployment)
    if not too_long or not same:
        return same
    taken = routed.candidates[same[0]].context_tokens
    return same + [index for index, c in enumerate(routed.candidates) if index not in same and 0 < c.context_tokens < taken]


def has_failed(request: RequestState) -> bool:
    """Whether all that was ordered was already reported as failed, beside a call of its that may still run."""
    return request.phase is RequestPhase.ORDERED and not request.awaited
