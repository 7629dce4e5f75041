"""Ordering a call of a candidate, or parking until one may be called."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from processors.dispatch import circuit
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import RequestDue
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import LaneState, PutCircuit, PutRequest, request_key
from schemas.calls import CallOrdered, Failure
from schemas.routing import RequestRouted
from schemas.state import RequestPhase, RequestState

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
    """Index of the best candidate that may be called now, or None."""
    left_out = {*request.excluded, *skip}
    for index, candidate in enumerate(routed.candidates):
        if index not in left_out and circuit.admits(state.circuits.get(candidate.deployment), now=now):
            return index
    return None


def all_down(state: LaneState, routed: RequestRouted, request: RequestState) -> bool:
    """Whether the circuit of every candidate left is open."""
    left = [c for index, c in enumerate(routed.candidates) if index not in request.excluded]
    circuits = [state.circuits.get(candidate.deployment) for candidate in left]
    return all(found is not None and found.open_until is not None for found in circuits)


def waits_for_circuit(request: RequestState) -> bool:
    """Whether a parked request waits for a deployment to come back, and not for the time that a provider named."""
    return request.last_failure is None or request.last_failure.kind in circuit.DOWN


def probe_at(state: LaneState, routed: RequestRouted, request: RequestState, *, now: datetime) -> datetime:
    """When the first circuit of the candidates left admits a call."""
    due = [
        found.open_until or now
        for index, candidate in enumerate(routed.candidates)
        if index not in request.excluded and (found := state.circuits.get(candidate.deployment)) is not None
    ]
    return max(min(due, default=now), now)


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
    """Order one call of the candidate at `index`."""
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
            input_tokens_estimate=routed.input_tokens_estimate,
            output_tokens_bound=candidate.output_tokens_bound,
            stream=routed.stream,
            timeout_ms=candidate.timeout_ms,
            ordered_at=now,
            deadline=routed.deadline,
        )
    )
    key = request_key(routed.tenant, routed.request_id)
    ordered = replace(request, phase=RequestPhase.ORDERED, attempt=attempt, candidate=index, not_before=None)
    decision.changes.append(PutRequest(key, ordered, routed))
    decision.timers.append(Timer(routed.deadline, RequestDue(key)))


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
    """Wait `wait_s`, and longer while every candidate is down.

    With one attempt left and everything down, wait for half of the remaining time: another request's probe, or none, may tell.
    """
    until = now + timedelta(seconds=min(wait_s, _FAR_FUTURE_S))
    if all_down(state, routed, request):
        until = max(until, probe_at(state, routed, request, now=now))
        if request.sent >= policy.max_attempts - 1:
            until = max(until, now + (request.deadline - now) / 2)
    until = min(until, request.deadline)
    key = request_key(routed.tenant, routed.request_id)
    parked = replace(request, phase=RequestPhase.PARKED, tried=(), not_before=until)
    decision.changes.append(PutRequest(key, parked, routed))
    decision.timers.append(Timer(until, RequestDue(key)))


def after(request: RequestState, failure: Failure, *, sent: bool, exclude: bool, cost_nanousd: int | None) -> RequestState:
    """The request with one failure of its current candidate more."""
    index = request.candidate
    return replace(
        request,
        sent=request.sent + sent,
        tried=(*request.tried, index),
        excluded=(*request.excluded, index) if exclude else request.excluded,
        cost_nanousd=cost_nanousd,
        last_failure=failure,
    )


def has_failed(request: RequestState) -> bool:
    """Whether the order that is outstanding was already reported as failed, beside a call of its that may still run."""
    return request.phase is RequestPhase.ORDERED and request.candidate in request.tried
