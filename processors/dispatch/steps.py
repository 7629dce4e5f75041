"""What several transitions do: call the next candidate or end the request, and note what a call says of its deployment."""

from dataclasses import replace

from processors.dispatch import answers, circuit, flights, orders, retry
from processors.dispatch.answers import Spent
from processors.dispatch.context import Context
from processors.dispatch.decision import Timer
from processors.dispatch.events import RequestDue
from processors.dispatch.state import Open, PutCircuit, PutRequest
from schemas.calls import FailureKind


def order_next(context: Context, request: Open, *, wait_s: float) -> None:
    """Order the next candidate that was not tried since the request was last parked; park when there is none."""
    state, routed, decision, policy, now = context.state, request.routed, context.decision, context.policy, context.now
    index = orders.admissible(state, routed, request.state, now=now, skip=request.state.tried)
    if index is None:
        orders.park(state, routed, request.state, decision, wait_s=wait_s, policy=policy, now=now)
    else:
        orders.order(state, routed, request.state, index, decision, policy=policy, now=now)


def move_on(context: Context, key: str, request: Open) -> None:
    """After a failure: another call, now or later, or the end."""
    state, failure, policy = request.state, request.state.last_failure, context.policy
    if context.now >= state.deadline:
        # Another call of its may have succeeded further on in the log: the timer of the deadline waits for the log.
        context.decision.changes.append(PutRequest(key, state, request.routed))
        context.decision.timers.append(Timer(state.deadline, RequestDue(key)))
        return
    if failure is not None and failure.kind is FailureKind.EXPIRED:
        expire(context, key, request, Spent(state.cost_nanousd))
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
            promote(context, waiting)
        return
    order_next(context, request, wait_s=retry.own_s(key, state.attempt, policy))


def expire(context: Context, key: str, request: Open, spent: Spent) -> None:
    waiting = flights.followers(context.state, key, request.routed)
    attempts, last = request.state.attempt, request.state.last_failure
    answers.expire(request.routed, context.decision, attempts=attempts, spent=spent, last=last, now=context.now)
    promote(context, waiting)


def promote(context: Context, waiting: list[Open]) -> None:
    """Nobody is lost with a leader: the first who has time left makes the calls from now on."""
    if (leader := flights.promoted(waiting, now=context.now)) is not None:
        # A circuit that this decision opens is not yet in the state that is read.
        changed = [change.circuit for change in context.decision.changes if isinstance(change, PutCircuit)]
        opened = {found.deployment for found in changed if found.open_until is not None}
        down = [index for index, candidate in enumerate(leader.routed.candidates) if candidate.deployment in opened]
        order_next(context, Open(replace(leader.state, tried=tuple(down)), leader.routed), wait_s=0.0)


def count_failure(context: Context, deployment: str, kind: FailureKind) -> None:
    found = context.state.circuits.get(deployment)
    was_open = found is not None and found.open_until is not None
    changed = circuit.after_failure(found, deployment, kind, now=context.now, policy=context.policy)
    if changed is not None:
        context.decision.changes.append(PutCircuit(changed))
        if was_open and changed.open_until is None:
            _release(context, deployment)


def close_circuit(context: Context, deployment: str) -> None:
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
