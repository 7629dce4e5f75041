"""The verdict on the order of a request's calls: hedges, candidates for long inputs, and when it may be given up."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from schemas.calls import Billing, CallOrdered, CallPhase, CallReported
from schemas.ledger import CostKind
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.routing import Candidate, CandidateUse, RequestRouted
from tests.simulation.facts import Facts, Key, ReportAt
from tests.simulation.world import World

Finals = Mapping[Key, tuple[int, InferenceResponse]]
Orders = dict[Key, list[tuple[int, CallOrdered]]]

_NOTHING_SENT = frozenset({"unreachable", "expired", "limited"})
_RETRIED = frozenset({"rate_limited", "limited", "overloaded", "server_error", "unreachable"})
_LEAVES_OUT = frozenset({"unauthorized", "not_found", "context_too_long"})


def judge_sequence(world: World, facts: Facts, finals: Finals) -> Iterator[str]:
    """What was ordered of each request that was answered once, order by order; and what its calls were charged as."""
    orders: Orders = {}
    for number, said in enumerate(facts.transactions):
        for order in said.orders:
            orders.setdefault((order.tenant, order.request_id), []).append((number, order))
    for key, found in orders.items():
        if key in finals and key in facts.routed:
            for number, order in found:
                routed, read = facts.routed[key][0].record, facts.transactions[number].read
                failed = [told for told in facts.reports.get(key, ()) if _has_failed(told) and told.offset < read]
                yield from _judge_order(routed, order, found[0][1], failed)
            yield from _judge_end(world, facts, key, finals[key][1])
    yield from _judge_wasted(world, facts, finals)


def _has_failed(told: ReportAt) -> bool:
    return told.record.phase is CallPhase.FAILED


def _judge_order(routed: RequestRouted, order: CallOrdered, first: CallOrdered, failed: list[ReportAt]) -> Iterator[str]:
    """`failed`: the failures that were read when the order was written; of an order that came twice there may be two."""
    name = f"{order.tenant}/{order.request_id}#{order.attempt}"
    if order.hedge:
        after_ms = routed.hedge_after_ms
        if after_ms is None or order.attempt != 2:
            yield f"hedge: nobody asked for {name}"
        elif order.ordered_at < first.ordered_at + timedelta(milliseconds=after_ms):
            yield f"hedge: {name} was written {order.ordered_at - first.ordered_at} after the first, not {after_ms} ms"
        if order.deployment == first.deployment:
            yield f"hedge: {name} asks the same deployment as the first"
    elif missing := sorted({*range(1, order.attempt)} - {told.record.attempt for told in failed}):
        yield f"hedge: {name} was written while the calls of {missing} could still succeed"
    asked = next(candidate for candidate in routed.candidates if candidate.deployment == order.deployment)
    too_long = [told.record for told in failed if _kind(told.record) == "context_too_long"]
    if asked.use is CandidateUse.CONTEXT and not too_long:
        yield f"context: {name} asks {order.deployment}, and nobody said that the input is too long"
    # Of an order that came twice the second failure changes nothing any more: another call may be under way.
    firsts = {told.record.attempt: told.record for told in reversed(failed)}
    for report in () if order.hedge else [first for first in firsts.values() if first in too_long]:
        if _no_larger(routed, asked, report.deployment):
            yield f"context: {name} asks {order.deployment} after {report.deployment} said that the input is too long"


def _no_larger(routed: RequestRouted, asked: Candidate, refused: str) -> bool:
    taken = next(candidate.context_tokens for candidate in routed.candidates if candidate.deployment == refused)
    return asked.deployment == refused or 0 < asked.context_tokens < taken


def _judge_end(world: World, facts: Facts, key: Key, final: InferenceResponse) -> Iterator[str]:
    """An error that is retried ends a request only when its attempts are spent: what was never sent is none."""
    kinds = {_kind(told.record) for told in facts.reports.get(key, ())}
    if final.error is None or final.error.kind not in _RETRIED or kinds & _LEAVES_OUT:
        return
    sent = sum(_counts(told.record) for told in facts.reports.get(key, ()))
    lost = sum(
        event.estimated
        for said in facts.transactions
        for event in said.costs
        if event.kind is CostKind.CALL and (event.tenant, event.request_id) == key
    )
    if final.status in {ResponseStatus.ERROR, ResponseStatus.FALLBACK} and sent + lost < world.schedule.policy.max_attempts:
        yield f"I5: {'/'.join(key)} was given up ({final.error.kind}) after {sent} calls that failed and {lost} that were lost"


def _judge_wasted(world: World, facts: Facts, finals: Finals) -> Iterator[str]:
    """First success wins: the others are paid for nothing, and say so."""
    for said in facts.transactions:
        for event in said.costs:
            key, call = (event.tenant, event.request_id), facts.calls.get(event.call_id or "")
            if event.kind is not CostKind.CALL or key not in finals or call is None or call.ended is None:
                continue
            if call.ended.phase is CallPhase.COMPLETED and finals[key][1].call_id != event.call_id:
                world.count["success that came second"] += 1
                if not event.wasted:
                    yield f"I3: {event.call_id} has not answered {'/'.join(key)} and is not marked as wasted"
            elif call.ended.phase is CallPhase.COMPLETED and event.attempt == 2 and _is_hedge(facts, key):
                world.count["hedge answered"] += 1


def _is_hedge(facts: Facts, key: Key) -> bool:
    return any(o.hedge for said in facts.transactions for o in said.orders if (o.tenant, o.request_id) == key)


def _kind(report: CallReported) -> str:
    return report.failure.kind.value if report.failure is not None else ""


def _counts(report: CallReported) -> bool:
    failure = report.failure
    return failure is not None and (failure.kind not in _NOTHING_SENT or failure.billing is not Billing.NOT_BILLED)
