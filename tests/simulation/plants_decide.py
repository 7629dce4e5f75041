"""Planted bugs of the decision: `decide` wrapped, what it decided changed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from processors.dispatch.decision import Decision
from processors.dispatch.events import CallDue, Cancelled, RequestDue, Routed
from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import ForgetRequest, PutCall, PutRequest, PutTotal
from schemas.calls import CallPhase
from schemas.ledger import CostEvent
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.state import RequestPhase

Decide = Callable[..., Decision]

# --- the decision --------------------------------------------------------------------------------------------------------


def changing(change: Callable[[Decision, Any, Any], None]) -> Callable[[Decide], Decide]:
    """`decide`, with what it decided changed by `change(decision, state, event)`."""

    def wrap(sound: Decide) -> Decide:
        def decide(state: Any, event: Any, **context: Any) -> Decision:
            decision = sound(state, event, **context)
            change(decision, state, event)
            return decision

        return decide

    return wrap


def estimate_forgotten(decision: Decision, state: Any, event: Any) -> None:
    if isinstance(event, CallDue):
        decision.records[:] = [record for record in decision.records if not isinstance(record, CostEvent)]
        decision.changes[:] = [change for change in decision.changes if not isinstance(change, PutTotal)]


def follower_dropped(decision: Decision, state: Any, event: Any) -> None:
    if isinstance(event, Routed):
        decision.records[:] = [r for r in decision.records if not (isinstance(r, InferenceResponse) and not r.final)]


def first_lost(decision: Decision, state: Any, event: Any) -> None:
    """A request that comes while many are open is not let in."""
    if isinstance(event, Routed) and len(state.open) >= 4:
        decision.records.clear()
        decision.changes.clear()
        decision.timers.clear()


def conflict_overwrites(decision: Decision, state: Any, event: Any) -> None:
    if isinstance(event, Routed):
        for record in list(decision.records):
            if isinstance(record, InferenceResponse) and record.status is ResponseStatus.CONFLICT:
                for key, open_ in state.open.items():
                    if (open_.routed.tenant, open_.routed.request_id) == (record.tenant, record.request_id):
                        decision.changes.append(PutRequest(key, open_.state, event.record))


def deadline_forgotten(decision: Decision, state: Any, event: Any) -> None:
    found = state.open.get(event.request_key) if isinstance(event, RequestDue) else None
    if found is not None and found.state.phase is RequestPhase.ORDERED:
        decision.records.clear()
        decision.changes.clear()


def started_charged_twice(decision: Decision, state: Any, event: Any) -> None:
    """A call that was reported stays open, and is charged once more when its time is up."""
    report = getattr(event, "record", None)
    if getattr(report, "phase", None) is CallPhase.FAILED and report.call_id in state.calls:
        decision.changes.append(PutCall(state.calls[report.call_id]))


def late_success_answers(decision: Decision, state: Any, event: Any) -> None:
    """A finished request is forgotten at once."""
    for change in list(decision.changes):
        if isinstance(change, PutRequest) and change.routed is None:
            decision.changes.append(ForgetRequest(change.key))


def cancelled_goes_on(decision: Decision, state: Any, event: Any) -> None:
    """A cancelled request is answered so, and stays open."""
    if isinstance(event, Cancelled):
        decision.changes[:] = [change for change in decision.changes if not isinstance(change, PutRequest)]


def cap_ignored(sound: Decide) -> Decide:
    def decide(state: Any, event: Any, *, policy: DispatchPolicy, **context: Any) -> Decision:
        return sound(state, event, policy=replace(policy, max_attempts=policy.max_attempts + 1), **context)

    return decide


def unknown_is_free(decision: Decision, state: Any, event: Any) -> None:
    """A failure that may have been billed costs nothing."""
    failure = getattr(getattr(event, "record", None), "failure", None)
    if failure is not None and failure.billing == "unknown":
        for place, record in enumerate(decision.records):
            if isinstance(record, CostEvent):
                decision.records[place] = replace(record, usage=None, cost_nanousd=0, estimated=False)
