"""Planted bugs of flights, hedges, fallbacks and candidates with a use: a part of the dispatcher's core replaced by a faulty one.

Each is named by its module and attribute, so that the product is whole again afterwards.
"""

from dataclasses import replace
from typing import Any

from processors.cost import events, totals
from processors.dispatch import answers, decide, flights, ledger, orders, retry, steps
from processors.dispatch.decision import Decision
from processors.dispatch.events import Routed
from processors.dispatch.state import PutRequest, PutTotal
from schemas.calls import FailureKind
from schemas.outcomes import ResponseStatus
from schemas.state import RequestPhase

Swap = tuple[Any, str, Any]
"""A module, the name of one of its parts, and what stands there while the bug is planted."""


def expires_alone(context: Any, key: str, request: Any, spent: Any) -> None:
    """The leader expires, and nobody thinks of those who follow it."""
    attempts, last = request.state.attempt, request.state.last_failure
    answers.expire(request.routed, context.decision, attempts=attempts, spent=spent, last=last, now=context.now)


def cancels_alone(context: Any, key: str) -> None:
    """The leader is cancelled, and nobody thinks of those who follow it."""
    if (request := context.state.open.get(key)) is not None:
        answers.cancel(request.routed, request.state, context.decision, now=context.now)


class NoLineOfTheShared:
    """Those who share an answer leave no cost event."""

    @staticmethod
    def avoid(*_: Any, **__: Any) -> None:
        return None


def any_success(response: Any) -> bool:
    """An answer that was cut off is given to all."""
    return response.status is ResponseStatus.OK


def all_who_follow(state: Any, key: str, routed: Any) -> list[Any]:
    """Whoever follows anybody is answered."""
    sound = _followers(state, key, routed)
    return [found for found in state.open.values() if found.state.phase is RequestPhase.FOLLOWING] if sound else []


def the_first_alone(state: Any, waiting: list[Any], *given: Any, **named: Any) -> list[Any]:
    """The first who follows is answered, the others are left where they are."""
    _share(state, waiting[:1], *given, **named)
    return []


def hedge_at_any_cost(*given: Any, policy: Any, **named: Any) -> None:
    """A hedge does not count as an attempt."""
    _hedge(*given, policy=replace(policy, max_attempts=99), **named)


def hedge_at_once(routed: Any, request: Any, now: Any) -> Any:
    """A hedge does not wait."""
    return None if routed.hedge_after_ms is None or request.attempt else now


def hedge_forgotten(*given: Any, **named: Any) -> Any:
    """A failure forgets the other call that is awaited."""
    return replace(_after(*given, **named), awaited=())


def whatever_is_there(routed: Any, request: Any) -> list[int]:
    """Candidates for long inputs are asked like any other."""
    return [index for index in range(len(routed.candidates)) if index not in request.excluded]


def that_one_alone(routed: Any, deployment: str, *, too_long: bool) -> list[int]:
    """An input that is too long for one candidate is sent to those that take less."""
    return [index for index, candidate in enumerate(routed.candidates) if candidate.deployment == deployment]


def stale_total(state: Any, event: Any, decision: Any, *, now: Any) -> None:
    """Each event of a decision is added to the total as it was before the decision."""
    key = totals.total_key(event)
    decision.changes.append(PutTotal(key, totals.add(state.totals.get(key), event, now=now)))
    decision.records.append(event)


def never_wasted(*given: Any, **named: Any) -> Any:
    """A second success is charged as if it had answered."""
    return _for_call(*given, **named | {"wasted": False})


def promoted_keeps_following(decision: Decision, state: Any, event: Any) -> None:
    """Who makes the calls from now on is still noted as one that follows."""
    for place, change in enumerate(decision.changes):
        if not isinstance(change, PutRequest) or change.routed is None or isinstance(event, Routed):
            continue
        before = state.open.get(change.key)
        if before is not None and before.state.phase is RequestPhase.FOLLOWING:
            decision.changes[place] = replace(change, state=replace(change.state, phase=RequestPhase.FOLLOWING))


_followers, _share, _hedge, _after, _for_call = flights.followers, flights.share, orders.hedge, orders.after, events.for_call
FOLLOWERS_FORGOTTEN: Swap = (steps, "expire", expires_alone)
FOLLOWERS_CANCELLED: Swap = (decide, "_cancel", cancels_alone)
SHARED_WITHOUT_LINE: Swap = (flights, "ledger", NoLineOfTheShared)
SHARED_CUT_OFF: Swap = (flights, "may_store", any_success)
SHARED_WITH_ALL: Swap = (flights, "followers", all_who_follow)
SHARED_WITH_ONE: Swap = (flights, "share", the_first_alone)
HEDGE_PAST_THE_CAP: Swap = (orders, "hedge", hedge_at_any_cost)
HEDGE_AT_ONCE: Swap = (orders, "_hedge_at", hedge_at_once)
HEDGE_FORGOTTEN: Swap = (orders, "after", hedge_forgotten)
CONTEXT_UNASKED: Swap = (orders, "left", whatever_is_there)
CONTEXT_SMALLER: Swap = (orders, "_unfit", that_one_alone)
STALE_TOTAL: Swap = (ledger, "_total", stale_total)
NEVER_WASTED: Swap = (events, "for_call", never_wasted)
FALLBACK_OF_FAULTS: Swap = (answers, "OWN_FAULTS", frozenset[FailureKind]())
LIMIT_IS_AN_ATTEMPT: Swap = (retry, "_NEVER_SENT", frozenset({FailureKind.UNREACHABLE, FailureKind.EXPIRED}))
