"""The verdict on a run: what must hold of requests, orders and positions. It recomputes from the logs and the providers' book."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from processors.dispatch.answers import CANCELLED
from schemas.calls import CallPhase
from schemas.ledger import CostKind
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from streams import topics
from tests.simulation.facts import Facts, Key
from tests.simulation.oracle_calls import judge_sequence
from tests.simulation.oracle_fallbacks import judge_fallbacks
from tests.simulation.oracle_flights import judge_flights
from tests.simulation.oracle_money import judge_calls, judge_totals
from tests.simulation.schedule import CONTEXT, SPARE
from tests.simulation.world import CANDIDATES, World


def judge(world: World) -> None:
    """Note every invariant that does not hold as a problem of the world."""
    facts = Facts.of(world)
    answers = Answers(facts)
    only = answers.only
    for problem in (
        *judge_intake(world, facts),
        *judge_finals(world, facts, answers),
        *judge_notices(facts, answers),
        *judge_orders(world, facts, answers),
        *judge_positions(world, facts),
        *judge_sequence(world, facts, only),
        *judge_flights(world, facts, only),
        *judge_fallbacks(facts, only),
        *judge_calls(world, facts),
        *judge_totals(facts),
    ):
        world.problem(problem)
    _count(world, facts)


class Answers:
    """Finals and notices by request, each final with the number of the transaction it came in."""

    def __init__(self, facts: Facts) -> None:
        self.finals: dict[Key, list[tuple[int, InferenceResponse]]] = {}
        self.notices: Counter[tuple[Key, ResponseStatus]] = Counter()
        for number, said in enumerate(facts.transactions):
            for response in said.responses:
                key = (response.tenant, response.request_id)
                if response.final:
                    self.finals.setdefault(key, []).append((number, response))
                else:
                    self.notices[key, response.status] += 1

    @property
    def only(self) -> dict[Key, tuple[int, InferenceResponse]]:
        """The final of each request that was answered once, with the number of its transaction."""
        return {key: finals[0] for key, finals in self.finals.items() if len(finals) == 1}

    def lived_once(self, key: Key) -> bool:
        """Whether it was answered once. One that was sent again when it had been forgotten begins anew."""
        return len(self.finals.get(key, ())) == 1


def judge_intake(world: World, facts: Facts) -> Iterator[str]:
    """I6 at intake: no request is passed that was not routed."""
    routed = Counter((key, int(found.record.request)) for key, records in facts.routed.items() for found in records)
    for published, count in world.published.items():
        if routed[published] < count:
            (tenant, request_id), body = published
            yield f"I1: {tenant}/{request_id} (body {body}) was acknowledged to its sender and never routed"


def judge_finals(world: World, facts: Facts, answers: Answers) -> Iterator[str]:
    """I1 and I2: one final a request, about its first body; `expired` only when no success stood in the log in time."""
    for key, records in facts.routed.items():
        name, first, finals = "/".join(key), records[0].record, answers.finals.get(key, [])
        if not finals:
            yield f"I1: {name} has no final response"
        for (_, before), (number, after) in pairwise(finals):
            if facts.transactions[number].seen - before.answered_at < world.schedule.policy.dedupe_horizon:
                yield f"I2: {name} has a second final response, {after.status.value} after {before.status.value}"
        if not answers.lived_once(key):
            continue
        final = finals[0][1]
        if final.user != first.user:
            yield f"I2: {name} was answered for {final.user}, but {first.user} came first"
        if final.error == CANCELLED and key not in world.cancelled:
            yield f"I2: {name} was answered `cancelled`, and its sender still wants it"
        if final.error is not None and final.error.kind == "expired":
            yield from _judge_expired(facts, key, final)
        elif final.status is ResponseStatus.OK and final.cache not in {CacheState.HIT, CacheState.SHARED}:
            yield from _judge_answer(facts, key, final)
    for key in answers.finals:
        if key not in facts.routed:
            yield f"I2: {'/'.join(key)} was answered and never routed"


def _judge_expired(facts: Facts, key: Key, final: InferenceResponse) -> Iterator[str]:
    deadline = facts.routed[key][0].record.deadline
    said_so = any(
        told.record.failure is not None and told.record.failure.kind == "expired" for told in facts.reports.get(key, ())
    )
    if final.answered_at < deadline and not said_so:
        yield f"I1: {'/'.join(key)} was answered `expired` before its deadline"
    if (success := facts.completed_before(key, deadline)) is not None:
        yield f"I1: {'/'.join(key)} was answered `expired`, but the success of {success.call_id} stood in the log in time"


def _judge_answer(facts: Facts, key: Key, final: InferenceResponse) -> Iterator[str]:
    reports = [
        report
        for report, *_ in facts.reports.get(key, ())
        if report.call_id == final.call_id and report.phase is CallPhase.COMPLETED
    ]
    if not reports or reports[0].output != final.output:
        yield f"I2: {'/'.join(key)} was answered with what {final.call_id} did not report"
    body = int(facts.routed[key][0].record.request)
    if final.output is not None and final.output.content != f"{final.call_id} of body {body}":
        yield f"I2: {'/'.join(key)} was answered for another body"


def judge_notices(facts: Facts, answers: Answers) -> Iterator[str]:
    """Who sends an id again is told: a conflict always, a duplicate once the request is finished."""
    for key, records in facts.routed.items():
        if not answers.lived_once(key):
            continue
        name, first, answered = "/".join(key), records[0].record, answers.finals[key][0][0]
        others = sum(found.record.body_digest != first.body_digest for found in records)
        if (told := answers.notices[key, ResponseStatus.CONFLICT]) != others:
            yield f"I1: {name} came {others} times with another body, {told} were told of the conflict"
        least = most = 0
        for found in records[1:]:
            if found.record.body_digest == first.body_digest:
                folded = facts.passed(found.partition, found.offset)
                least += folded > answered
                most += folded >= answered
        told = answers.notices[key, ResponseStatus.DUPLICATE]
        if not least <= told <= most:
            yield f"I1: {name} came again {least} to {most} times after its answer, {told} were told that it is a duplicate"


def judge_orders(world: World, facts: Facts, answers: Answers) -> Iterator[str]:
    """I5 and I6: orders in their sequence, for the first body, none after the final, each with a report; calls within the cap."""
    attempts: dict[Key, list[int]] = {}
    ended = {
        (key, report.attempt)
        for key, reports in facts.reports.items()
        for report, *_ in reports
        if report.phase is not CallPhase.STARTED
    }
    for number, said in enumerate(facts.transactions):
        for order in said.orders:
            key = (order.tenant, order.request_id)
            name = f"{order.tenant}/{order.request_id}#{order.attempt}"
            if (key, order.attempt) not in ended:
                yield f"I6: order {name} was passed by its workers, and no end of a call was reported"
            if not answers.lived_once(key):
                continue
            attempts.setdefault(key, []).append(order.attempt)
            if order.request != facts.routed[key][0].record.request:
                yield f"I2: order {name} is about another body than the first"
            if number > answers.finals[key][0][0]:
                yield f"I2: order {name} was written after the final response"
            if order.ordered_at >= order.deadline:
                yield f"I1: order {name} was written after the deadline"
    for key, found in attempts.items():
        if found != list(range(1, len(found) + 1)):
            yield f"I5: the orders of {'/'.join(key)} are numbered {found}"
        cap = world.schedule.policy.max_attempts
        if world.sent[key] > cap + world.repeated[key]:
            again = world.repeated[key]
            yield f"I5: {'/'.join(key)} was sent {world.sent[key]} times; the cap is {cap}, {again} orders were delivered again"


def judge_positions(world: World, facts: Facts) -> Iterator[str]:
    """I6 at the dispatcher: positions never go back, and end at the end; what is unreadable is put aside once."""
    at: dict[tuple[int, str], int] = {}
    for said in facts.transactions:
        for topic, position in said.positions.items():
            before = at.get((said.partition, topic), 0)
            if position < before:
                yield f"I6: the position in {topic}[{said.partition}] goes back from {before} to {position}"
            at[said.partition, topic] = position
    for partition in range(world.partitions):
        for topic in (topics.ROUTED, topics.ATTEMPTS):
            end = world.broker.log(topic, partition).end
            if (position := at.get((partition, topic), 0)) != end:
                yield f"I6: the position in {topic}[{partition}] is {position} at the end, the log's end {end}"
    if (aside := sum(said.dead_letters for said in facts.transactions)) != facts.poisoned:
        yield f"I7: {facts.poisoned} unreadable records, {aside} dead letters"


def _count(world: World, facts: Facts) -> None:
    count = world.count
    for said in facts.transactions:
        for response in said.responses:
            count[f"{'final' if response.final else 'notice'}: {response.status.value}"] += 1
            count["final from the cache"] += response.cache is CacheState.HIT
            count["final shared"] += response.cache is CacheState.SHARED
        for event in said.costs:
            count["cost event: estimated"] += event.estimated
            count["cost event: wasted"] += event.wasted
            count["cost event: correction"] += event.kind is CostKind.ADJUSTED
            count["cost event: price unknown"] += event.cost_nanousd is None
        count["order"] += len(said.orders)
        count["order: hedge"] += sum(order.hedge for order in said.orders)
        count["order: for a long input"] += sum(order.deployment == CANDIDATES[CONTEXT].deployment for order in said.orders)
        count["order: when no other is left"] += sum(order.deployment == CANDIDATES[SPARE].deployment for order in said.orders)
    count["transaction committed"] += len(facts.transactions)
    count["call started"] += len(facts.calls)
