"""The dispatcher's decision: what one event does to one lane partition."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import assert_never

from processors.cost.prices import PriceBook
from processors.dispatch import answers, calls, circuit, flights, ledger, orders, steps
from processors.dispatch.answers import Spent
from processors.dispatch.context import Context
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
    request_key,
)
from schemas.outcomes import ResponseStatus
from schemas.routing import RequestRouted
from schemas.state import RequestPhase, RequestState


def decide(state: LaneState, event: Event, *, now: datetime, policy: DispatchPolicy, prices: PriceBook) -> Decision:
    """The changes, records and timers that `event` causes. Pure: `state` is only read."""
    context = Context(state, Decision(), policy, prices, now)
    match event:
        case Routed(record):
            ROUTED[_phase(state, request_key(record.tenant, record.request_id))](context, record)
        case Reported(record):
            calls.reported(context, record)
        case RequestDue(key):
            if (request := state.open.get(key)) is not None:
                DUE[request.state.phase](context, key, request)
        case CallDue(call_id):
            calls.due(context, call_id)
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
        steps.order_next(context, Open(request, routed), wait_s=0.0)


def _repeat(context: Context, routed: RequestRouted) -> None:
    key = request_key(routed.tenant, routed.request_id)
    answers.repeat(context.state, key, routed, context.decision, now=context.now)


# --- a timer is due ------------------------------------------------------------------------------------------------------


def _expire_if_due(context: Context, key: str, request: Open) -> None:
    if context.now < request.state.deadline:
        context.decision.timers.append(Timer(request.state.deadline, RequestDue(key)))
    else:
        steps.expire(context, key, request, Spent(request.state.cost_nanousd))


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


# --- a word from outside the lane ----------------------------------------------------------------------------------------


def _cancel(context: Context, key: str) -> None:
    """Answer an open request so. What it has under way is charged when it is reported; whoever asked the same goes on."""
    if (request := context.state.open.get(key)) is None:
        return
    waiting = flights.followers(context.state, key, request.routed)
    answers.cancel(request.routed, request.state, context.decision, now=context.now)
    steps.promote(context, waiting)


def _advised(context: Context, deployment: str, *, down: bool) -> None:
    """The fleet's word: it opens a circuit as our own failures would, and closes one as our own success would."""
    if not down:
        steps.close_circuit(context, deployment)
        return
    found = context.state.circuits.get(deployment)
    if (changed := circuit.shut(found, deployment, now=context.now, policy=context.policy)) is not None:
        context.decision.changes.append(PutCircuit(changed))


# --- what is remembered only to know a repetition ------------------------------------------------------------------------


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


# --- which transition an event is ----------------------------------------------------------------------------------------


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
