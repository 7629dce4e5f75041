"""The verdict on the ledger: one cost event a started call, charged as the provider billed or more; totals are their fold."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from schemas.calls import Billing, CallPhase, Usage
from schemas.ledger import CostEvent, CostKind, CostTotal
from tests.simulation.facts import Call, Facts
from tests.simulation.world import NANO_PER_TOKEN, World


def judge_calls(world: World, facts: Facts) -> Iterator[str]:
    """I3."""
    events: dict[str, CostEvent] = {}
    lines: Counter[str] = Counter()
    corrections: dict[str, list[CostEvent]] = {}
    hits: Counter[tuple[str, str]] = Counter()
    for said in facts.transactions:
        for event in said.costs:
            if event.kind is CostKind.CACHE_HIT:
                hits[event.tenant, event.request_id] += 1
            elif event.kind is CostKind.ADJUSTED:
                corrections.setdefault(event.call_id or "", []).append(event)
            else:
                lines[event.call_id or ""] += 1
                events[event.call_id or ""] = event
    for call_id in facts.calls:
        if lines[call_id] != 1:
            yield f"I3: call {call_id} was started and has {lines[call_id]} cost events"
    for call_id, event in events.items():
        if (call := facts.calls.get(call_id)) is None:
            yield f"I3: a cost event of {call_id}, which was never started"
        else:
            corrected, in_time = corrections.pop(call_id, []), _in_time(call)
            if event.estimated and in_time:
                yield f"I3: {call_id} is charged as an estimate, but its report stood in the log before it counted as lost"
            yield from _judge_corrections(call_id, call, event, corrected)
            yield from _judge_charge(world, call_id, call, _as_it_stands(event, corrected))
    yield from (f"I3: the charge of {call_id} is corrected, and there is none" for call_id in corrections)
    answered = Counter(
        (response.tenant, response.request_id)
        for said in facts.transactions
        for response in said.responses
        if response.final and response.cache in {"hit", "shared"}
    )
    if hits != answered:
        yield f"I3: answers from the cache {dict(answered)}, their cost events {dict(hits)}"


def _in_time(call: Call) -> bool:
    lost_at = call.started.lost_at
    counted = call.ended is not None and call.ended.usage is not None
    return counted and call.seen is not None and lost_at is not None and call.seen < lost_at


def _judge_corrections(call_id: str, call: Call, event: CostEvent, corrected: list[CostEvent]) -> Iterator[str]:
    """A call that was charged as lost and whose end is told after all is corrected, once."""
    if len(corrected) > 1:
        yield f"I3: the charge of {call_id} is corrected {len(corrected)} times"
    for correction in corrected:
        if not event.estimated or not correction.replaces_estimate or call.ended is None:
            yield f"I3: the charge of {call_id} is corrected, which was no estimate or has no report"
        if correction.occurred_at != event.occurred_at:
            yield f"I3: the correction of {call_id} is of another hour than its charge"


def _as_it_stands(event: CostEvent, corrected: list[CostEvent]) -> CostEvent:
    """The charge with its corrections."""
    for correction in corrected:
        before, change = event.usage or Usage(0, 0), correction.usage or Usage(0, 0)
        unknown = event.cost_nanousd is None or correction.cost_nanousd is None
        event = replace(
            event,
            usage=Usage(before.input_tokens + change.input_tokens, before.output_tokens + change.output_tokens),
            cost_nanousd=None if unknown else (event.cost_nanousd or 0) + (correction.cost_nanousd or 0),
            estimated=event.estimated and not correction.replaces_estimate,
        )
    return event


def _judge_charge(world: World, call_id: str, call: Call, event: CostEvent) -> Iterator[str]:
    truth, ended, begun = world.book.get(call_id), call.ended, call.started
    usage = event.usage or Usage(0, 0)
    if truth is not None and (usage.input_tokens < truth.input_tokens or usage.output_tokens < truth.output_tokens):
        yield (
            f"I3: {call_id} is charged {usage.input_tokens} + {usage.output_tokens} tokens;"
            f" the provider billed {truth.input_tokens} + {truth.output_tokens}"
        )
    if event.estimated and (usage.input_tokens, usage.output_tokens) != (begun.input_tokens_estimate, begun.output_tokens_bound):
        yield f"I3: the estimate of {call_id} is not its upper bound"
    told = None if ended is None or ended.usage is None else _tokens(ended.usage)
    if told is not None and not event.estimated and _tokens(usage) != told:
        yield f"I3: {call_id} reported {told} and is charged {usage}"
    if not event.estimated and (ended is None or (ended.usage is None and _may_be_billed(call))):
        yield f"I3: {call_id} told no usage and is not estimated"
    if (event.occurred_at, event.attempt) != (begun.started_at, begun.attempt):
        yield f"I3: the cost event of {call_id} names another call"
    if event.cost_nanousd != (expected := _cost(event)):
        yield f"I3: {call_id} costs {event.cost_nanousd}, its usage is worth {expected}"


def _tokens(usage: Usage) -> tuple[int, int]:
    return usage.input_tokens, usage.output_tokens


def _may_be_billed(call: Call) -> bool:
    if call.ended is None or call.ended.phase is CallPhase.COMPLETED or call.ended.failure is None:
        return True
    return call.ended.failure.billing is not Billing.NOT_BILLED


def _cost(event: CostEvent) -> int | None:
    if event.pricing_status == "NOT_BILLED":
        return 0
    prices = NANO_PER_TOKEN[event.model]
    if prices is None or event.usage is None:
        return None
    return prices[0] * event.usage.input_tokens + prices[1] * event.usage.output_tokens


@dataclass(slots=True)
class Sum:
    """The oracle's own total of one key."""

    calls: int = 0
    cost_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    estimated_calls: int = 0
    wasted_calls: int = 0
    unpriced_calls: int = 0
    cache_hits: int = 0
    avoided_nanousd: int = 0

    def add(self, event: CostEvent) -> None:
        usage, is_call = event.usage or Usage(0, 0), event.kind is CostKind.CALL
        self.calls += is_call
        self.cost_nanousd += event.cost_nanousd or 0
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.estimated_calls += (is_call and event.estimated) - event.replaces_estimate
        self.wasted_calls += is_call and event.wasted
        self.unpriced_calls += is_call and event.cost_nanousd is None
        self.cache_hits += event.kind is CostKind.CACHE_HIT
        self.avoided_nanousd += event.avoided_nanousd or 0

    def matches(self, total: CostTotal) -> bool:
        return all(getattr(self, name) == getattr(total, name) for name in Sum.__slots__)


def judge_totals(facts: Facts) -> Iterator[str]:
    """I4, after every transaction: the totals that a reader sees are the sum of the cost events that it sees."""
    sums: dict[tuple[str, str, str, datetime], Sum] = {}
    for number, said in enumerate(facts.transactions):
        touched = set()
        for event in said.costs:
            hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
            key = (event.lane, event.provider, event.model, hour)
            touched.add(key)
            sums.setdefault(key, Sum()).add(event)
        for total in said.totals.values():
            key = (total.lane, total.provider, total.model, total.hour)
            touched.discard(key)
            if not (found := sums.get(key, Sum())).matches(total):
                yield f"I4: after transaction {number} the total of {_name(key)} is {total.cost_nanousd}, its events {found}"
        for key in touched:
            yield f"I4: transaction {number} charges {_name(key)} and writes no total of it"


def _name(key: tuple[str, str, str, datetime]) -> str:
    return f"{key[0]} {key[1]}/{key[2]} {key[3]:%H}h"
