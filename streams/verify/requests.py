"""Judges the facts of one request: one final response, its cache hit in the ledger, and not too many attempts."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from streams import topics
from streams.verify.facts import (
    REQUEST,
    About,
    Acknowledged,
    Fact,
    Failed,
    Final,
    Hit,
    Ordered,
    Requested,
    Routed,
    Tried,
)
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind


def judge(name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """`name` is the identity; what is wrong goes into the tally."""
    key = name.partition(":")[2]
    requested = [f for f in facts if isinstance(f, Requested)]
    finals = sorted((f for f in facts if isinstance(f, Final)), key=lambda f: f.answered_us)
    hits = [f for f in facts if isinstance(f, Hit)]
    tally.cache_hits += len(hits)
    tally.last_final_us = max(tally.last_final_us, finals[-1].answered_us if finals else 0)
    for fact in facts:
        if isinstance(fact, Acknowledged) and not requested:
            tally.add(
                Problem(
                    ProblemKind.NOT_IN_LOG if terms.quiet else ProblemKind.IN_FLIGHT,
                    key,
                    f"line {fact.line} of the acknowledged log says that the broker took it, but it does not stand in the topic; "
                    "check that the log is of this Kafka, and the broker's replication and disks",
                    topics.REQUESTS,
                )
            )
            break
    if requested:
        tally.acknowledged += 1
        tally.repeats += len(requested) - 1
        _answered(key, requested, finals, terms, tally)
    else:
        for final in finals:
            tally.add(_at(ProblemKind.UNKNOWN_FINAL, key, "answered, but never requested; find who wrote it", final))
    _once(key, finals, terms, tally)
    _hits(key, finals, hits, terms, tally)
    _attempts(key, facts, terms, tally)
    _passed(name, key, facts, terms, tally)


def _answered(key: str, requested: Sequence[Requested], finals: Sequence[Final], terms: Terms, tally: Tally) -> None:
    """The last request needs a final that is not older than the time for which ids are remembered."""
    last = max(requested, key=lambda r: r.sent_us)
    if any(final.answered_us > last.sent_us - terms.dedupe_horizon_us for final in finals):
        tally.final += 1
        return
    tally.missing += 1
    waits = terms.now_us < last.deadline_us + terms.grace_us
    message = (
        "no final response yet, and its deadline has not passed; run again with --wait"
        if waits
        else "no final response, and its deadline has passed; look for the role that is down (`penstock doctor`)"
    )
    kind = ProblemKind.IN_FLIGHT if waits else ProblemKind.MISSING_FINAL
    tally.add(Problem(kind, key, message, topics.REQUESTS, last.partition, last.offset))


def _once(key: str, finals: Sequence[Final], terms: Terms, tally: Tally) -> None:
    """A second final is one too many unless the id had been forgotten in between."""
    for earlier, later in pairwise(finals):
        if later.answered_us - earlier.answered_us >= terms.dedupe_horizon_us:
            continue
        tally.duplicate_finals += 1
        message = (
            f"a second final response; the first stands at partition {earlier.partition}, offset {earlier.offset}; "
            "check that readers use isolation.level=read_committed and that no two deployments share this Kafka"
        )
        tally.add(_at(ProblemKind.DUPLICATE_FINAL, key, message, later))


def _hits(key: str, finals: Sequence[Final], hits: Sequence[Hit], terms: Terms, tally: Tally) -> None:
    answered = [final for final in finals if final.cache_hit]
    if len(answered) == len(hits):
        return
    kind = ProblemKind.CACHE_HIT_DIFFERS if terms.quiet else ProblemKind.IN_FLIGHT
    message = (
        f"{len(answered)} final responses from the cache, {len(hits)} cache-hit cost events; both are written in one transaction"
    )
    place: Final | Hit = answered[-1] if answered else hits[-1]
    topic = topics.RESPONSES if answered else topics.COSTS
    tally.add(Problem(kind, key, message, topic, place.partition, place.offset))


def _attempts(key: str, facts: Iterable[Fact], terms: Terms, tally: Tally) -> None:
    unsent = {f.call_id for f in facts if isinstance(f, Failed) and f.unsent}
    calls = {f.call_id: f.attempt for f in facts if isinstance(f, Tried)}
    tally.duplicate_calls += len(calls) - len(set(calls.values()))
    attempts = {attempt for call_id, attempt in calls.items() if call_id not in unsent}
    if len(attempts) > terms.max_attempts:
        message = (
            f"{len(attempts)} attempts may have reached a provider, {terms.max_attempts} are allowed (PENSTOCK_MAX_ATTEMPTS)"
        )
        tally.add(Problem(ProblemKind.TOO_MANY_ATTEMPTS, key, f"{message}; the calls: {', '.join(list(calls)[:10])}"))


def _passed(name: str, key: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """What a group has committed as done must have left its trace: a request its routing, an order a report of its attempt."""
    routed = {f.received_us for f in facts if isinstance(f, Routed)}
    reported = {f.attempt for f in facts if isinstance(f, Tried | Failed)}
    for fact in facts:
        if isinstance(fact, Requested):
            topic, done, wanted = topics.REQUESTS, fact.sent_us in routed, f"a record of {topics.ROUTED}"
        elif isinstance(fact, Ordered):
            topic, done, wanted = fact.topic, fact.attempt in reported, f"a report of attempt {fact.attempt} on {topics.ATTEMPTS}"
        else:
            continue
        place = topic, fact.partition, fact.offset
        if (commit := terms.covering(*place)) is not None and not done:
            kind = ProblemKind.PASSED_UNFINISHED if terms.quiet else ProblemKind.IN_FLIGHT
            message = (
                f"group {commit.group} has committed it as done ({commit.offset} is next), but {wanted} is missing: it is lost"
            )
            tally.add(Problem(kind, key, f"{message}; set the group's offset back to before it", *place))
        elif terms.awaits_commit(*place):
            tally.unsettled.add(About(REQUEST, name))


def _at(kind: ProblemKind, key: str, message: str, final: Final) -> Problem:
    return Problem(kind, key, message, topics.RESPONSES, final.partition, final.offset)
