"""F19: one request_id a hundred times at once, with one body and with many."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from schemas.outcomes import ResponseStatus
from schemas.requests import InferenceRequest, Message
from tests.fault.case import Case, Observed
from tests.fault.load import Load, mixed
from tests.fault.rig import Rig

TIMES, NEIGHBOURS, AT_ONCE = 100, 200, 100_000.0
NOTICED_WITHIN_S = 20.0
Notices = Counter[tuple[str, ResponseStatus]]


def same(tag: str, name: str, number: int) -> InferenceRequest:
    """The same request, whichever the number."""
    return replace(mixed(tag, 0), request_id=f"{name}-same")


def different(tag: str, name: str, number: int) -> InferenceRequest:
    """One id and tenant; every second body, from the second on, is one of its own."""
    body = mixed(tag, 0)
    if number % 2:
        body = replace(body, messages=(Message("user", f"[[sim out=8]] Another question {number}"),))
    return replace(body, request_id=f"{name}-different")


async def a_hundred_times(rig: Rig) -> Observed:
    """Two ids a hundred times at once, and again when they are answered, among other requests."""
    makes: tuple[Callable[[str, int], InferenceRequest], ...] = (partial(same, "same"), partial(different, "different"))
    loads: list[Load] = []
    async with rig.load(NEIGHBOURS, per_s=50):
        await rig.flowing(20)
        for make in makes:
            async with rig.load(TIMES, per_s=AT_ONCE, make=make) as load:
                loads.append(load)
        ids = [f"{loads[0].name}-same", f"{loads[1].name}-different"]
        await rig.drained()
        before = _notices(rig)
        # A repeat within the same load names the same ids: `load.name` is part of them.
        again = [_named(make, load.name) for make, load in zip(makes, loads, strict=True)]
        for make in again:
            async with rig.load(TIMES, per_s=AT_ONCE, make=make):
                pass
        await rig.seen.until(lambda: (_notices(rig) - before).total() >= 2 * TIMES, NOTICED_WITHIN_S)
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    after = _notices(rig) - before
    calls = Counter(call.request_id for call in rig.provider_calls())
    return observed.also(
        *(f"{i} was called {calls[i]} times at the provider" for i in ids if calls[i] != 1),
        *(f"{i} has {len(rig.seen.finals[i])} finals" for i in ids if len(rig.seen.finals[i]) != 1),
        *(f"{i} ended as {status}" for i in ids if (status := rig.first_final(i).response.status) is not ResponseStatus.OK),
        *_differences("while open", before, {(ids[1], ResponseStatus.CONFLICT): TIMES // 2}, but=ResponseStatus.DUPLICATE),
        *_differences(
            "when answered",
            after,
            {
                (ids[0], ResponseStatus.DUPLICATE): TIMES,
                (ids[1], ResponseStatus.DUPLICATE): TIMES // 2,
                (ids[1], ResponseStatus.CONFLICT): TIMES // 2,
            },
        ),
        notes=(f"{sum(before.values())} notices while open, {sum(after.values())} when answered",),
    )


def _named(make: Callable[[str, int], InferenceRequest], name: str) -> Callable[[str, int], InferenceRequest]:
    return lambda _, number: make(name, number)


def _notices(rig: Rig) -> Notices:
    return Counter((notice.request_id, notice.status) for notice in rig.seen.notices)


def _differences(
    when: str, found: Notices, expected: dict[tuple[str, ResponseStatus], int], *, but: ResponseStatus | None = None
) -> list[str]:
    """What differs from the notices expected; those of the status `but` may be there or not."""
    return [
        f"{when}: {found[key]} notices {key[1]} about {key[0]}, {expected.get(key, 0)} expected"
        for key in sorted(found.keys() | expected.keys())
        if key[1] is not but and found[key] != expected.get(key, 0)
    ]


CASES = [Case("F19", "one request_id 100 times at once", a_hundred_times)]
