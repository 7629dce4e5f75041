"""The ledger: one cost event a started call, whatever becomes of its request, and what a provider bills otherwise."""

from dataclasses import replace
from datetime import datetime, timedelta

from processors.cost import adjustments, events, totals
from processors.cost.prices import PriceBook
from processors.dispatch.decision import Decision, Timer
from processors.dispatch.events import CallDue
from processors.dispatch.state import DropCall, LaneState, PutAdjusted, PutCall, PutTotal, request_key
from schemas.calls import Billing, CallPhase, CallReported, Charged, UsageSource
from schemas.ledger import CostEvent
from schemas.requests import Operation
from schemas.routing import RequestRouted
from schemas.state import AdjustedState, CallState


def start(state: LaneState, report: CallReported, decision: Decision, *, now: datetime) -> None:
    """Open the ledger line of a call that is about to be made."""
    if report.call_id in state.calls or report.call_id in state.charged:
        return
    # The worker's clock may be behind ours, or ours may have been behind when we read this: the later of both is never too soon.
    lost_at = report.lost_at or report.reported_at
    key = request_key(report.tenant, report.request_id)
    request = state.open.get(key)
    started_at = report.started_at or report.reported_at
    call = CallState(
        call_id=report.call_id,
        tenant=report.tenant,
        request_id=report.request_id,
        attempt=report.attempt,
        lane=report.lane,
        deployment=report.deployment,
        provider=report.provider,
        model=report.model,
        operation=request.routed.operation if request else Operation.UNKNOWN,
        started_at=started_at,
        lost_at=max(lost_at, now + (lost_at - report.reported_at)),
        input_tokens_estimate=report.input_tokens_estimate,
        output_tokens_bound=report.output_tokens_bound,
        user=request.routed.user if request else None,
        arm=report.arm,
    )
    decision.changes.append(PutCall(call))
    decision.timers.append(Timer(call.lost_at, CallDue(call.call_id)))


def settle(
    state: LaneState, report: CallReported, decision: Decision, *, answers: bool, prices: PriceBook, now: datetime
) -> CostEvent | None:
    """Close the line of a reported call; of one that was charged as lost, make an actual of the estimate.

    None when nothing is left to say: it was charged before, or never started.
    """
    call = state.calls.get(report.call_id)
    if call is None:
        if (charged := state.charged.get(report.call_id)) is not None:
            # Its worker has come to the end of it: its STARTED cannot come again.
            decision.changes.append(DropCall(charged))
            return _correct(state, charged, report, decision, prices=prices, now=now)
        return None
    failure, request = report.failure, state.open.get(request_key(call.tenant, call.request_id))
    billing = Billing.BILLED if report.phase is CallPhase.COMPLETED or failure is None else failure.billing
    event = events.for_call(
        call,
        prices,
        usage=report.usage,
        billing=billing,
        response_model=report.output.response_model if report.output else None,
        provider_response_id=report.output.provider_response_id if report.output else None,
        wasted=not answers and billing is not Billing.NOT_BILLED,
        input_tokens_estimate=None if request is None else request.routed.input_tokens_estimate,
        now=now,
    )
    _book(state, call, event, decision, now=now)
    return event


def lose(state: LaneState, call: CallState, decision: Decision, *, prices: PriceBook, now: datetime) -> CostEvent:
    """Close the line of a call that nobody reported: charged by its upper bounds, never free."""
    event = events.for_call(call, prices, usage=None, billing=Billing.UNKNOWN, wasted=True, now=now)
    decision.changes.append(PutCall(replace(call, charged_at=now, charged_nanousd=event.cost_nanousd)))
    _total(state, event, decision, now=now)
    return event


def avoid(state: LaneState, routed: RequestRouted, decision: Decision, *, now: datetime) -> CostEvent:
    """The line of a cache hit."""
    event = events.for_cache_hit(routed, now=now)
    _total(state, event, decision, now=now)
    return event


def adjust(
    state: LaneState, report: CallReported, decision: Decision, *, prices: PriceBook, horizon: timedelta, now: datetime
) -> CostEvent | None:
    """Post the difference to what the provider bills. None when it was posted before, or may have been.

    The ledger that the report was made from shows every adjustment up to `reported_at`, and the state remembers those since
    the horizon. Half of it is left to clocks that disagree: an older report could ask for what was posted and forgotten.
    """
    charged, known = report.charged, state.adjusted.get(report.call_id)
    if charged is None or report.started_at is None or charged.sequence < 1 or report.call_id in state.calls:
        return None
    if now - report.reported_at > horizon / 2 or (known is not None and charged.sequence != known.sequence + 1):
        return None
    event = adjustments.for_call(report, charged, prices, started_at=report.started_at, now=now)
    return _post(state, event, charged, decision, now=now)


def _correct(
    state: LaneState, call: CallState, report: CallReported, decision: Decision, *, prices: PriceBook, now: datetime
) -> CostEvent | None:
    """The difference of what a lost call has used after all to what it was charged. None when the report does not know it."""
    free = report.failure is not None and report.failure.billing is Billing.NOT_BILLED
    counted = report.usage is not None and report.usage.source is UsageSource.REPORTED
    if report.call_id in state.adjusted or not (free or counted):
        return None
    charged = Charged(
        sequence=1,
        input_tokens=call.input_tokens_estimate,
        output_tokens=call.output_tokens_bound,
        cost_nanousd=call.charged_nanousd,
        estimated=True,
        wasted=True,
        operation=call.operation,
        user=call.user,
        response_model=report.output.response_model if report.output else None,
    )
    known = replace(report, usage=None) if free else report
    event = adjustments.for_call(known, charged, prices, started_at=call.started_at, now=now)
    return _post(state, event, charged, decision, now=now)


def _post(state: LaneState, event: CostEvent, charged: Charged, decision: Decision, *, now: datetime) -> CostEvent:
    """Write an adjustment, and remember that it was."""
    decision.changes.append(PutAdjusted(AdjustedState(event.call_id or "", charged.sequence, now)))
    _total(state, event, decision, now=now)
    return event


def _book(state: LaneState, call: CallState, event: CostEvent, decision: Decision, *, now: datetime) -> None:
    decision.changes.append(DropCall(call))
    _total(state, event, decision, now=now)


def _total(state: LaneState, event: CostEvent, decision: Decision, *, now: datetime) -> None:
    key = totals.total_key(event)
    total = totals.add(decision.totals.get(key) or state.totals.get(key), event, now=now)
    decision.totals[key] = total
    decision.changes.append(PutTotal(key, total))
    decision.records.append(event)
