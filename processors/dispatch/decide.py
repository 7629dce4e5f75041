"""The dispatcher's decision: what one event does to one lane partition."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from processors.cost.prices import PriceBook
from processors.dispatch import answers, circuit, flights, ledger, orders, retry
from processors.dispatch.answers import Spent
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import Advised, CallDue, Cancelled, Event, Reported, RequestDue, Routed, Sweep
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import (
    Change,
    DropCall,
    ForgetAdjusted,
    ForgetRequest,
    LaneState,
    Open,
    PutCircuit,
    PutRequest,
    request_key,
)
from schemas.calls import CallPhase, CallReported, FailureKind
from schemas.ledger import CostEvent, CostKind
from schemas.outcomes import ResponseStatus
from schemas.routing import RequestRouted
from schemas.state import RequestPhase, RequestState


@dataclass(frozen=True, slots=True)
class Context:
    """What a transition may read, and the decision that it writes."""

    state: LaneState
    decision: Decision
    policy: DispatchPolicy
    prices: PriceBook
    now: datetime


def decide(state: LaneState, event: Event, *, now: datetime, policy: DispatchPolicy, prices: PriceBook) -> Decision:
    """The changes, records and timers that `event` causes. Pure: `state` is only read."""
    context = Context(state, Decision(), policy, prices, now)
    match event:
        case Routed(record):
            ROUTED[_phase(state, request_key(record.tenant, record.request_id))](context, record)
        case Reported(record):
            _reported(context, record)
        case RequestDue(key):
            if (request := state.open.get(key)) is not None:
                DUE[request.state.phase](context, key, request)
        case CallDue(call_id):
            _call_due(context, call_id)
        case Advised(deployment, down):
            _advised(context, deployment, down=down)
        case Cancelled(key):
            _cancel(context, key)
        case Sweep(most):
            _sweep(context, most)
        case _:
            assert_never(event)
    return context.decision


# --- a routed record arrives ---------------------------------------------------------------------------------------------


def _admit(context: Context, routed: RequestRouted) -> None:
    now, decision, spent = context.now, context.decision, Spent()
    request = orders.received(routed)
    if routed.rejection is not None:
        answers.finish(routed, decision, ResponseStatus.ERROR, attempts=0, spent=spent, now=now, error=routed.rejection)
    elif now >= routed.deadline:
        answers.expire(routed, decision, attempts=0, spent=spent, last=None, now=now)
    elif routed.cached is not None:
        ledger.avoid(context.state, routed, decision, now=now)
        answers.finish(routed, decision, ResponseStatus.OK, attempts=0, spent=spent, now=now, cached=routed.cached)
    elif not orders.left(routed, request):
        answers.give_up(routed, request, decision, None, spent=spent, now=now)
    elif flights.leads(context.state, routed):
        flights.follow(routed, request, decision)
    else:
        _try(context, Open(request, routed), wait_s=0.0)


def _repeat(context: Context, routed: RequestRouted) -> None:
    key = request_key(routed.tenant, routed.request_id)
    answers.repeat(context.state, key, routed, context.decision, now=context.now)


# --- a call is reported --------------------------------------------------------------------------------------------------


def _reported(context: Context, report: CallReported) -> None:
    """The ledger first, whatever the request; then the circuit; then the request."""
    key = request_key(report.tenant, report.request_id)
    request = context.state.open.get(key)
    if report.phase is CallPhase.STARTED:
        ledger.start(context.state, report, context.decision, now=context.now)
    elif report.phase is CallPhase.COMPLETED:
        charged = _settle(context, report, answers_request=request is not None)
        _close_circuit(context, report.deployment)
        if request is not None:
            _answer(context, key, request, report, charged)
    elif report.phase is CallPhase.FAILED and report.failure is not None:
        charged = _settle(context, report, answers_request=False)
        _count_failure(context, report.deployment, report.failure.kind)
        if request is not None:
            _failed(context, key, request, report, charged)
    elif report.phase is CallPhase.RECONCILED:
        horizon = context.policy.dedupe_horizon
        ledger.adjust(context.state, report, context.decision, prices=context.prices, horizon=horizon, now=context.now)


def _answer(context: Context, key: str, request: Open, report: CallReported, charged: CostEvent | None) -> None:
    spent = Spent(request.state.cost_nanousd).plus(charged)
    waiting = flights.followers(context.state, key, request.routed)
    response = answers.finish(
        request.routed,
        context.decision,
        ResponseStatus.OK,
        attempts=request.state.attempt,
        spent=spent,
        now=context.now,
        answer=report,
        usage=charged.usage if charged and charged.kind is CostKind.CALL else report.usage,
    )
    _promote(context, flights.share(context.state, waiting, response, report.model, context.decision, now=context.now))


def _failed(context: Context, key: str, request: Open, report: CallReported, charged: CostEvent | None) -> None:
    """A failure of what was ordered moves the request on, unless another call of its may still succeed."""
    failure = report.failure
    if failure is None:
        return
    state, spent = request.state, Spent(request.state.cost_nanousd).plus(charged)
    late = bool(state.awaited) and all(order.attempt != report.attempt for order in state.awaited)
    told_again = charged is None and orders.has_failed(state)
    if state.phase is not RequestPhase.ORDERED or late or told_again:
        if charged is not None:
            kept = replace(state, cost_nanousd=spent.cost_nanousd, sent=state.sent + retry.was_sent(failure))
            context.decision.changes.append(PutRequest(key, kept, request.routed))
        return
    exclude = retry.verdict(failure, context.policy) is retry.Verdict.NEXT_CANDIDATE
    asked_until = retry.asked_until(failure, key, state.attempt, context.policy, now=context.now)
    moved = orders.after(state, request.routed, report, exclude=exclude, cost_nanousd=spent.cost_nanousd, asked_until=asked_until)
    if state.last_failure is not None and retry.verdict(state.last_failure, context.policy) is retry.Verdict.GIVE_UP:
        # It is open for the sake of another call: that this one failed otherwise does not make it worth a further one.
        moved = replace(moved, last_failure=state.last_failure)
    if moved.awaited or context.state.calls_of.get(key, frozenset()) - {report.call_id}:
        # A hedge, or an order that was delivered twice: the other call is not yet reported or lost.
        context.decision.changes.append(PutRequest(key, moved, request.routed))
    else:
        _move_on(context, key, Open(moved, request.routed))


def _move_on(context: Context, key: str, request: Open) -> None:
    """After a failure: another call, now or later, or the end."""
    state, failure, policy = request.state, request.state.last_failure, context.policy
    if context.now >= state.deadline:
        # Another call of its may have succeeded further on in the log: the timer of the deadline waits for the log.
        context.decision.changes.append(PutRequest(key, state, request.routed))
        context.decision.timers.append(Timer(state.deadline, RequestDue(key)))
        return
    if failure is not None and failure.kind is FailureKind.EXPIRED:
        _expire(context, key, request, Spent(state.cost_nanousd))
        return
    if (
        failure is None
        or retry.verdict(failure, policy) is retry.Verdict.GIVE_UP
        or state.sent >= policy.max_attempts
        or not orders.left(request.routed, state)
    ):
        waiting = flights.followers(context.state, key, request.routed)
        spent = Spent(state.cost_nanousd)
        response = answers.give_up(request.routed, state, context.decision, failure, spent=spent, now=context.now)
        if failure is not None and failure.kind in answers.OWN_FAULTS:
            flights.share_error(waiting, response, context.decision, now=context.now)
        else:
            _promote(context, waiting)
        return
    _try(context, request, wait_s=retry.own_s(key, state.attempt, policy))


# --- a timer is due ------------------------------------------------------------------------------------------------------


def _expire_if_due(context: Context, key: str, request: Open) -> None:
    if context.now < request.state.deadline:
        context.decision.timers.append(Timer(request.state.deadline, RequestDue(key)))
    else:
        _expire(context, key, request, Spent(request.state.cost_nanousd))


def _hedge_if_due(context: Context, key: str, request: Open) -> None:
    hedge_at = request.state.hedge_at
    if hedge_at is None or not request.state.awaited or context.now >= request.state.deadline:
        _expire_if_due(context, key, request)
    elif context.now < hedge_at:
        context.decision.timers.append(Timer(hedge_at, RequestDue(key)))
    else:
        state, policy = context.state, context.policy
        orders.hedge(state, request.routed, request.state, context.decision, policy=policy, now=context.now)


def _wake(context: Context, key: str, request: Open) -> None:
    """Order the parked request if a candidate may be called; else set the next time to look, without a change of state."""
    state, now = request.state, context.now
    if now >= state.deadline:
        _expire_if_due(context, key, request)
        return
    look_again = state.not_before or now
    released = orders.waits_for_circuit(state) and not orders.all_down(context.state, request.routed, state)
    if now >= look_again or released:
        index = orders.admissible(context.state, request.routed, state, now=now)
        if index is not None:
            orders.order(context.state, request.routed, state, index, context.decision, policy=context.policy, now=now)
            return
        look_again = orders.next_at(context.state, request.routed, state, again_at=now, now=now)
    context.decision.timers.append(Timer(min(look_again, state.deadline), RequestDue(key)))


def _call_due(context: Context, call_id: str) -> None:
    call = context.state.calls.get(call_id)
    if call is None:
        return
    if context.now < call.lost_at:
        context.decision.timers.append(Timer(call.lost_at, CallDue(call_id)))
        return
    charged = ledger.lose(context.state, call, context.decision, prices=context.prices, now=context.now)
    key = request_key(call.tenant, call.request_id)
    if (request := context.state.open.get(key)) is None:
        return
    spent = Spent(request.state.cost_nanousd).plus(charged)
    kept = replace(request.state, cost_nanousd=spent.cost_nanousd, sent=request.state.sent + 1)
    if orders.has_failed(kept) and not context.state.calls_of.get(key, frozenset()) - {call_id}:
        _move_on(context, key, Open(kept, request.routed))
    else:
        # Its order was not acknowledged and comes again by itself.
        context.decision.changes.append(PutRequest(key, kept, request.routed))


def _sweep(context: Context, most: int) -> None:
    changes, horizon = context.decision.changes, context.now - context.policy.dedupe_horizon
    for kind in _remembered(context.state):
        for since, change in kind:
            if since > horizon or len(changes) >= most:
                break
            changes.append(change)


def sweep_due(state: LaneState, *, now: datetime, policy: DispatchPolicy) -> bool:
    """Whether a sweep would forget anything."""
    oldest = (next(iter(kind), None) for kind in _remembered(state))
    return any(first is not None and first[0] <= now - policy.dedupe_horizon for first in oldest)


def _remembered(state: LaneState) -> tuple[Iterable[tuple[datetime, Change]], ...]:
    """What is kept only to know a repetition, with the change that forgets it; each kind with its oldest first."""
    return (
        ((finished.finished_at, ForgetRequest(key)) for key, finished in state.finished.items()),
        ((adjusted.adjusted_at, ForgetAdjusted(call_id)) for call_id, adjusted in state.adjusted.items()),
        ((call.charged_at, DropCall(call)) for call in state.charged.values() if call.charged_at is not None),
    )


def _cancel(context: Context, key: str) -> None:
    """Answer an open request so. What it has under way is charged when it is reported; whoever asked the same goes on."""
    if (request := context.state.open.get(key)) is None:
        return
    waiting = flights.followers(context.state, key, request.routed)
    answers.cancel(request.routed, request.state, context.decision, now=context.now)
    _promote(context, waiting)


def _advised(context: Context, deployment: str, *, down: bool) -> None:
    """The fleet's word: it opens a circuit as our own failures would, and closes one as our own success would."""
    if not down:
        _close_circuit(context, deployment)
        return
    found = context.state.circuits.get(deployment)
    if (changed := circuit.shut(found, deployment, now=context.now, policy=context.policy)) is not None:
        context.decision.changes.append(PutCircuit(changed))


# --- shared --------------------------------------------------------------------------------------------------------------


def _try(context: Context, request: Open, *, wait_s: float) -> None:
    """Order the next candidate that was not tried since the request was last parked; park when there is none."""
    state, routed, decision, policy, now = context.state, request.routed, context.decision, context.policy, context.now
    index = orders.admissible(state, routed, request.state, now=now, skip=request.state.tried)
    if index is None:
        orders.park(state, routed, request.state, decision, wait_s=wait_s, policy=policy, now=now)
    else:
        orders.order(state, routed, request.state, index, decision, policy=policy, now=now)


def _expire(context: Context, key: str, request: Open, spent: Spent) -> None:
    waiting = flights.followers(context.state, key, request.routed)
    attempts, last = request.state.attempt, request.state.last_failure
    answers.expire(request.routed, context.decision, attempts=attempts, spent=spent, last=last, now=context.now)
    _promote(context, waiting)


def _promote(context: Context, waiting: list[Open]) -> None:
    """Nobody is lost with a leader: the first who has time left makes the calls from now on."""
    if (leader := flights.promoted(waiting, now=context.now)) is not None:
        # A circuit that this decision opens is not yet in the state that is read.
        changed = [change.circuit for change in context.decision.changes if isinstance(change, PutCircuit)]
        opened = {found.deployment for found in changed if found.open_until is not None}
        down = [index for index, candidate in enumerate(leader.routed.candidates) if candidate.deployment in opened]
        _try(context, Open(replace(leader.state, tried=tuple(down)), leader.routed), wait_s=0.0)


def _settle(context: Context, report: CallReported, *, answers_request: bool) -> CostEvent | None:
    return ledger.settle(context.state, report, context.decision, answers=answers_request, prices=context.prices, now=context.now)


def _count_failure(context: Context, deployment: str, kind: FailureKind) -> None:
    found = context.state.circuits.get(deployment)
    was_open = found is not None and found.open_until is not None
    changed = circuit.after_failure(found, deployment, kind, now=context.now, policy=context.policy)
    if changed is not None:
        context.decision.changes.append(PutCircuit(changed))
        if was_open and changed.open_until is None:
            _release(context, deployment)


def _close_circuit(context: Context, deployment: str) -> None:
    found = context.state.circuits.get(deployment)
    changed = circuit.after_success(found)
    if changed is not None:
        context.decision.changes.append(PutCircuit(changed))
        if found is not None and found.open_until is not None:
            _release(context, deployment)


def _release(context: Context, deployment: str) -> None:
    """Wake the parked requests that the deployment could answer."""
    for key in context.state.parked:
        if any(c.deployment == deployment for c in context.state.open[key].routed.candidates):
            context.decision.timers.append(Timer(context.now, RequestDue(key)))


def _phase(state: LaneState, key: str) -> RequestPhase | None:
    """None for a request that is not known."""
    if (request := state.open.get(key)) is not None:
        return request.state.phase
    return RequestPhase.FINISHED if key in state.finished else None


ROUTED: Mapping[RequestPhase | None, Callable[[Context, RequestRouted], None]] = {
    None: _admit,
    RequestPhase.ORDERED: _repeat,
    RequestPhase.PARKED: _repeat,
    RequestPhase.FOLLOWING: _repeat,
    RequestPhase.FINISHED: _repeat,
}
DUE: Mapping[RequestPhase, Callable[[Context, str, Open], None]] = {
    RequestPhase.ORDERED: _hedge_if_due,
    RequestPhase.PARKED: _wake,
    RequestPhase.FOLLOWING: _expire_if_due,
}


def timers_of(state: LaneState) -> list[Timer]:
    """The timers of a state that was rebuilt from its changelog."""
    requests = (Timer(_due(request.state), RequestDue(key)) for key, request in state.open.items())
    return [*requests, *(Timer(call.lost_at, CallDue(call.call_id)) for call in state.calls.values())]


def _due(state: RequestState) -> datetime:
    return min(state.not_before or state.deadline, state.hedge_at or state.deadline, state.deadline)
