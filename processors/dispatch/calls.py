"""What becomes of a call: it was started, it ended, it was billed otherwise, or nothing more was heard of it."""

from dataclasses import replace

from processors.dispatch import answers, flights, ledger, orders, retry, steps
from processors.dispatch.answers import Spent
from processors.dispatch.context import Context
from processors.dispatch.decision import Timer
from processors.dispatch.events import CallDue
from processors.dispatch.state import Open, PutRequest, request_key
from schemas.calls import CallPhase, CallReported
from schemas.ledger import CostEvent, CostKind
from schemas.outcomes import ResponseStatus
from schemas.state import RequestPhase


def reported(context: Context, report: CallReported) -> None:
    """The ledger first, whatever the request; then the circuit; then the request."""
    key = request_key(report.tenant, report.request_id)
    request = context.state.open.get(key)
    if report.phase is CallPhase.STARTED:
        ledger.start(context.state, report, context.decision, now=context.now)
    elif report.phase is CallPhase.COMPLETED:
        charged = _settle(context, report, answers_request=request is not None)
        steps.close_circuit(context, report.deployment)
        if request is not None:
            _answer(context, key, request, report, charged)
    elif report.phase is CallPhase.FAILED and report.failure is not None:
        charged = _settle(context, report, answers_request=False)
        steps.count_failure(context, report.deployment, report.failure.kind)
        if request is not None:
            _failed(context, key, request, report, charged)
    elif report.phase is CallPhase.RECONCILED:
        horizon = context.policy.dedupe_horizon
        ledger.adjust(context.state, report, context.decision, prices=context.prices, horizon=horizon, now=context.now)


def due(context: Context, call_id: str) -> None:
    """A call that is not reported by its time is lost: it is charged as an estimate, and its request may move on."""
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
        steps.move_on(context, key, Open(kept, request.routed))
    else:
        # Its order was not acknowledged and comes again by itself.
        context.decision.changes.append(PutRequest(key, kept, request.routed))


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
    steps.promote(context, flights.share(context.state, waiting, response, report.model, context.decision, now=context.now))


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
        steps.move_on(context, key, Open(moved, request.routed))


def _settle(context: Context, report: CallReported, *, answers_request: bool) -> CostEvent | None:
    return ledger.settle(context.state, report, context.decision, answers=answers_request, prices=context.prices, now=context.now)
