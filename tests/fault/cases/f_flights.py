"""Identical requests at once: they share one call, whoever dies meanwhile."""

from collections import Counter
from functools import partial

from schemas.ledger import CostKind
from schemas.outcomes import CacheState, ResponseStatus
from schemas.requests import InferenceRequest, Message, Preferences
from tests.fault.case import CALM, OPENAI, Case, Observed, StackSpec
from tests.fault.load import Make
from tests.fault.rig import Rig

REQUESTS, AT_ONCE = 1_000, 100_000.0
THREE = StackSpec(
    roles={"intake": 3, "dispatch": 3, "calls:openai": 3, "calls:anthropic": 1, "tables": 1},
    profiles={"default": dict(CALM) | {"first_token_ms": {"median": 1_500, "sigma": 0.01}}},
)
"""Answers take a second and a half: all requests are there before the first."""
SERVED = {CacheState.MISS, CacheState.SHARED, CacheState.HIT}


def identical(tag: str, name: str, number: int) -> InferenceRequest:
    """The same question of one tenant, under an id of its own."""
    return InferenceRequest(
        request_id=f"{name}-{number}",
        tenant="tenant-1",
        model="auto",
        messages=(Message("user", f"[[sim out=12]] What is the same a thousand times? {tag}"),),
        preferences=Preferences(provider=OPENAI),
    )


async def shared(rig: Rig, *, kill: str | None) -> Observed:
    """A thousand at once over three workers of each kind; with `kill`, what was making the call dies over it."""
    make: Make = partial(identical, f"{len(rig.fleet.names())}-{id(rig)}")
    if kill is not None:
        await rig.kills.arm(kill)
    async with rig.load(REQUESTS, per_s=AT_ONCE, make=make) as load:
        pass
    await rig.drained()
    calls = [call for call in rig.provider_calls() if call.request_id in load.acknowledged]
    finals = [rig.first_final(request_id).response for request_id in load.acknowledged]
    free = [e for events in rig.seen.costs.values() for e in events if e.kind is CostKind.CACHE_HIT]
    states = Counter(response.cache for response in finals)
    most = 1 if kill is None else 2
    observed = await rig.conclude(duplicates_at_most=most - 1, deaths=0 if kill is None else 1)
    return observed.also(
        "" if 1 <= len(calls) <= most else f"{len(calls)} calls at the provider, {most} at most",
        *(f"{r.request_id} ended as {r.status.value}" for r in finals if r.status is not ResponseStatus.OK),
        "" if set(states) <= SERVED else f"cache states {dict(states)}",
        "" if len({response.output for response in finals}) == 1 else "not all have the same answer",
        "" if len(free) == REQUESTS - states[CacheState.MISS] else f"{len(free)} free cost events, {dict(states)}",
        "" if sum(r.cost_nanousd or 0 for r in finals) == max(r.cost_nanousd or 0 for r in finals) else "paid more than once",
        notes=(f"{len(calls)} calls", ", ".join(f"{state.value} {count}" for state, count in states.items())),
    )


CASES = [
    Case(
        "S1",
        "1,000 identical requests at once over three workers of each kind",
        partial(shared, kill=None),
        stack=THREE,
    ),
    Case("S1-killed", "the same, and the worker that makes the call dies over it", partial(shared, kill="K7:1"), stack=THREE),
]
