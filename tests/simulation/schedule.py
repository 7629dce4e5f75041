"""A schedule: which requests there are and what happens, step by step. Data alone, made from a seed."""

from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from processors.dispatch.policy import DispatchPolicy

PROGRESS = {"publish": 10, "intake": 4, "fold": 16, "commit": 10, "cycle": 14, "take": 16, "work": 40, "wait": 6}
"""Kinds of steps that move things on, with their weights."""

FAULTS = {
    "again": 3,
    "conflict": 3,
    "poison": 1,
    "intake_crash": 2,
    "lane_crash": 4,
    "unsure": 3,
    "stall": 3,
    "steal": 4,
    "zombie": 6,
    "move": 3,
    "end_transaction": 3,
    "worker_crash": 5,
    "worker_move": 3,
    "worker_stop": 2,
    "outage": 2,
    "advise": 3,
    "cancel": 3,
    "clock": 3,
    "long_wait": 2,
}
"""Kinds of steps that are faults, or rare. Each schedule has some of them, so that each meets the others in every mixture."""

DEADLINES_S = (3, 15, 60, 60, 240)
HEDGES_MS = (None, 200, 1_000, 3_000)
CONTEXT, SPARE = 3, 4
"""The candidates for inputs that are too long for others, and for when no other is left."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One request: who sends it, how long it may take, and what intake will find out about it."""

    request_id: str
    tenant: str
    lane: str
    deadline_s: int
    candidates: tuple[int, ...]
    cached: bool = False
    rejected: bool = False
    stubborn: bool = False
    """The provider never answers it with success."""
    flight: int | None = None
    """Requests of a tenant with the same number ask the same."""
    hedge_after_ms: int | None = None
    fallback: str | None = None
    """What answers when no provider does: a `text`, or an answer that was `kept`."""
    long: bool = False
    """The input fits into the context of one candidate alone."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is done next. `a` and `b` choose among what there is at that moment, so that a step fits any world."""

    kind: str
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything that a run depends on."""

    seed: int
    partitions: int
    policy: DispatchPolicy
    avro: bool
    """Whether records are really encoded: slow, so only a part of the schedules does it."""
    dead_end: bool
    """Whether the providers are still out when the faults end, so that requests wait until their deadlines."""
    requests: tuple[Plan, ...]
    steps: tuple[Step, ...]


def schedule_of(seed: int) -> Schedule:
    """The schedule of a seed: always the same."""
    random = Random(seed)
    requests = _plans(random)
    kinds = PROGRESS | {kind: weight for kind, weight in FAULTS.items() if random.random() < 0.45}
    length = random.randint(40, 150)
    chosen = random.choices(tuple(kinds), tuple(kinds.values()), k=length)
    draw = random.getrandbits
    steps = tuple(Step(kind, draw(16), draw(16)) for kind in chosen)
    policy = DispatchPolicy(
        max_attempts=random.randint(1, 4),
        retry_indeterminate=random.random() < 0.8,
        circuit_failures=random.choice((1, 2, 5)),
        dedupe_horizon=timedelta(seconds=random.choice((900, 86_400, 86_400))),
    )
    return Schedule(
        seed=seed,
        partitions=random.choice((1, 1, 2)),
        policy=policy,
        avro=seed % 16 == 0,
        dead_end=random.random() < 0.06,
        requests=requests,
        steps=steps,
    )


def _plans(random: Random) -> tuple[Plan, ...]:
    """The requests. In some schedules many of them ask the same, in some they are hedged."""
    shared, hedged = random.random() < 0.35, random.random() < 0.4
    plans: list[Plan] = []
    for number in range(random.randint(2, 8) + 2 * shared):
        plan = _plan(random, number, hedged=hedged)
        if shared:
            earlier = [first for first in plans if first.tenant == plan.tenant]
            same = random.choice(earlier) if earlier and random.random() < 0.7 else replace(plan, flight=number)
            plan = replace(same, request_id=plan.request_id, deadline_s=plan.deadline_s, fallback=plan.fallback)
        plans.append(plan)
    return tuple(plans)


def _plan(random: Random, number: int, *, hedged: bool) -> Plan:
    tenant = ("acme", "bulk")[number % 2]
    lane = tenant if tenant == "acme" else f"{tenant}#{random.randrange(3)}"
    candidates = random.sample(range(3), random.choice((2, 2, 3) if hedged else (1, 1, 2, 3)))
    kind = random.random()
    long = random.random() < 0.1
    if long or random.random() < 0.1:
        candidates.append(CONTEXT)
    if random.random() < 0.15:
        candidates.append(SPARE)
    return Plan(
        request_id=f"r{number // 2}",
        tenant=tenant,
        lane=lane,
        deadline_s=random.choice(DEADLINES_S),
        candidates=() if kind < 0.03 else tuple(candidates),
        cached=0.03 <= kind < 0.13,
        rejected=0.13 <= kind < 0.18,
        stubborn=random.random() < 0.15,
        hedge_after_ms=random.choice(HEDGES_MS) if hedged else None,
        fallback=random.choice((None, None, None, None, None, "text", "kept")),
        long=long,
    )
