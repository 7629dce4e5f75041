"""The lineage of a request for eyes. Pure: a lineage in, lines out."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.calls import CallPhase, CallReported, Usage
from schemas.ledger import CostEvent, CostKind
from schemas.outcomes import DeadLetter, InferenceResponse
from schemas.requests import InferenceRequest
from schemas.routing import CachedAnswer, CandidateUse, RequestRouted, Scored
from streams import money
from streams.lineage.collected import Attempt, Lineage
from streams.verify.derive import printable

_LABEL = 12


def page(lineage: Lineage) -> list[str]:
    """What was asked, how it was decided, what was called and paid, and how it ended."""
    lines = [*_request(lineage)]
    if (decision := lineage.decision) is None:
        lines += _labelled("routed", ["not yet: no decision stands in the log"])
    else:
        lines += [*_classified(decision), *(_cache(decision) if decision.rejection is None else ()), *_policy(decision)]
    for attempt in lineage.attempts():
        lines += _labelled(f"call {attempt.number}", _call(attempt))
    lines += [*_costs(lineage), *_dead_letters(lineage), *_final(lineage)]
    return lines


def _labelled(label: str, told: Sequence[str]) -> Iterator[str]:
    for i, line in enumerate(told):
        yield printable(f"{label if i == 0 else '':<{_LABEL}}{line}".rstrip())


def _request(lineage: Lineage) -> Iterator[str]:
    told = [f"{lineage.request_id} of {lineage.tenant}"]
    requests = lineage.of(InferenceRequest)
    if requests:
        request = requests[0]
        size = money.plural(len(request.messages), "message") if request.messages else money.plural(len(request.input), "text")
        told[0] += f": {request.operation.value} for {request.model}, {size}"
    told += [f"{_time(seen.timestamp)}  {seen.where}" for seen in lineage.seen["requests"]]
    if len(requests) > 1:
        told.append(f"published {len(requests)} times")
    if (decision := lineage.decision) is not None:
        told.append(f"lane {decision.lane}, deadline {_time(decision.deadline)}")
    return _labelled("request", told)


def _classified(decision: RequestRouted) -> Iterator[str]:
    language = "language not determined" if decision.language == "und" else f"language {decision.language}"
    size = money.plural(decision.input_tokens_estimate, "input token")
    told = [f"{decision.task_kind} ({decision.task_confidence:.2f}), {decision.complexity} complexity, {language}, about {size}"]
    if decision.sensitivity:
        told.append(f"holds {', '.join(decision.sensitivity)}")
    if decision.classifier:
        told.append(f"by {decision.classifier}")
    return _labelled("classified", told)


def _cache(decision: RequestRouted) -> Iterator[str]:
    if decision.cached is not None:
        told = _kept(decision.cached)
    elif decision.cache_key is None:
        told = "not asked, and nothing is kept"
    else:
        told = "no answer was kept" if decision.flight_key else "not asked"
        told += f"; the answer may be kept for {decision.cache_ttl_s} s"
    lines = [told]
    if decision.flight_key is not None:
        lines.append("shares the call of an identical open request, if there is one")
    return _labelled("cache", lines)


def _kept(cached: CachedAnswer) -> str:
    of = "" if cached.request_id is None else f" to {cached.request_id}"
    alike = "" if cached.similarity is None else f", similar with a probability of {cached.similarity:.2f}"
    return f"answered: the answer{of} of {cached.deployment}, kept {_time(cached.stored_at)}{alike}"


def _policy(decision: RequestRouted) -> Iterator[str]:
    arm = "" if decision.arm is None else f", arm {decision.arm}"
    told = [f"{decision.policy}{arm}"]
    if decision.hedge_after_ms is not None:
        told.append(f"a second call goes out after {money.duration(decision.hedge_after_ms)}")
    if (fallback := decision.fallback) is not None:
        told.append(f"when no call answers: {'the answer to a similar question' if fallback.cached else 'a fixed text'}")
    if decision.rejection is not None:
        told.append(f"rejected: {decision.rejection.kind}: {decision.rejection.message}")
    yield from _labelled("policy", told)
    yield from _labelled("", _table(decision))


def _table(decision: RequestRouted) -> list[str]:
    """A line for each deployment: its place, its score and what that was made of, or what it lacks."""
    places = {candidate.deployment: (i, candidate) for i, candidate in enumerate(decision.candidates, 1)}
    told = {scored.deployment: scored for scored in decision.scores}
    rows = []
    for name in [*places, *(name for name in told if name not in places)]:
        place, scored = places.get(name), told.get(name, Scored(name))
        score = "" if scored.score is None else f"{scored.score:.4f}"
        notes = _made_of(scored)
        if place is not None:
            candidate = place[1]
            use = "" if candidate.use is CandidateUse.ALWAYS else f"{candidate.use.value}  "
            notes = f"{use}at most {money.cost(candidate.cost_bound_nanousd)}{'  ' if notes else ''}{notes}"
        elif scored.lack is None:
            notes = f"behind the {len(places)} chosen  {notes}"
        rows.append((f"{place[0]}." if place else "-", name, score, notes))
    if not rows:
        return []
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return [f"{n:<{widths[0]}}  {name:<{widths[1]}}  {score:<{widths[2]}}  {notes}" for n, name, score, notes in rows]


def _made_of(scored: Scored) -> str:
    if scored.lack is not None:
        return f"excluded, {scored.lack}: {scored.why}"
    return ", ".join(f"{name} {value:g}" for name, value in scored.parts.items())


def _call(attempt: Attempt) -> list[str]:
    order, ended = attempt.order, attempt.ended
    told = attempt.deployment
    if order is not None:
        told += f", ordered {_time(order.ordered_at)}{' as a hedge' if order.hedge else ''}"
    if attempt.call_id is None:
        return [f"{told}, not taken by a worker yet"]
    lines = [f"{told}, call {attempt.call_id}"]
    if ended is not None:
        lines.append(_outcome(ended))
    else:
        started = "" if attempt.started_at is None else f" {_time(attempt.started_at)}"
        lines.append(f"started{started}, nothing more was heard")
    return lines + [_cost(cost) for cost in attempt.costs]


def _outcome(ended: CallReported) -> str:
    took = "" if ended.latency_ms is None else f" after {money.duration(ended.latency_ms)}"
    if ended.phase is CallPhase.COMPLETED:
        return f"completed{took}{_tokens(ended.usage)}"
    failure = ended.failure
    if failure is None:
        return f"failed{took}"
    status = "" if failure.http_status is None else f" (HTTP {failure.http_status})"
    return f"failed{took}: {failure.kind.value}{status}: {failure.message}"


def _tokens(usage: Usage | None) -> str:
    return ", no usage told" if usage is None else f", {usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"


def _costs(lineage: Lineage) -> Iterator[str]:
    """The cost events that are of no call: an answer from the cache."""
    calls = {report.call_id for report in lineage.of(CallReported)}
    return _labelled("cost", [_cost(cost) for cost in lineage.of(CostEvent) if cost.call_id not in calls])


def _cost(cost: CostEvent) -> str:
    if cost.kind is CostKind.CACHE_HIT:
        avoided = "" if cost.avoided_nanousd is None else f", {money.dollars(cost.avoided_nanousd)} avoided"
        return f"{money.cost(cost.cost_nanousd)}{avoided}"
    flags = [name for name in ("estimated", "wasted") if getattr(cost, name)]
    told = f"{'adjusted by' if cost.kind is CostKind.ADJUSTED else 'cost'} {money.cost(cost.cost_nanousd)}"
    return ", ".join([f"{told} ({cost.pricing_status.value.lower()})", *flags])


def _dead_letters(lineage: Lineage) -> Iterator[str]:
    letters = lineage.of(DeadLetter)
    return _labelled("dead letter", [f"{letter.reason} at {letter.stage}: {letter.message}" for letter in letters])


def _final(lineage: Lineage) -> Iterator[str]:
    final = lineage.final
    notices = [f"{_time(r.answered_at)} notice: {r.status.value}" for r in lineage.of(InferenceResponse) if not r.final]
    if final is None:
        return _labelled("final", ["none yet: the request is open", *notices])
    by = "" if final.deployment is None else f" from {final.deployment}"
    took = money.duration((final.answered_at - final.received_at).total_seconds() * 1000)
    told = [f"{final.status.value}{by} after {took}, {money.plural(final.attempts, 'attempt')}, {_paid(final)}"]
    if final.error is not None:
        told.append(f"{final.error.kind}: {final.error.message}")
    if final.served_by is not None:
        told.append(f"the answer is that of {final.served_by}")
    return _labelled("final", told + notices)


def _paid(final: InferenceResponse) -> str:
    return "nothing was paid" if final.cost_nanousd is None and not final.attempts else money.cost(final.cost_nanousd)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
