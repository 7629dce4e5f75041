"""F12: Valkey away from the start, killed, hung, emptied. Each look-up is then a miss, and nobody waits for it."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from schemas.outcomes import CacheState
from tests.fault.case import Case, Observed
from tests.fault.cases._asking import STEADY, Asking, answers, latencies_s, median, not_answered, p99
from tests.fault.load import Load
from tests.fault.rig import Rig

PER_S, SEEDS = 20.0, 14
MOST_SHARE, MOST_ADDED_S = 1.20, 0.050
BACK_WITHIN_S = 16.0
"""The breaker asks again after 15 s at most."""

Act = Callable[[Rig], Awaitable[None]]
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Trouble:
    """`at_rest` tells that what `begin` does is over before latencies are taken: restarts are another case's."""

    begin: Act
    end: Act
    away: bool = True
    at_rest: bool = False
    rounds: int = 2
    phase_s: float = 5.0


async def without_cache(rig: Rig, *, trouble: Trouble) -> Observed:
    """Stretches with the cache and without it, in one load of questions that nobody asked before."""
    calm: list[Span] = []
    faulty: list[Span] = []
    again: list[Load] = []
    back_s = 0.0
    await rig.profile("default", dict(STEADY))
    async with rig.load(100_000, per_s=PER_S, make=Asking(cached=True)) as load:
        await rig.flowing(40)
        for _ in range(trouble.rounds):
            topic = await _kept(rig)
            calm.append(await _stretch(trouble.phase_s))
            begun = time.time()
            await trouble.begin(rig)
            if trouble.at_rest:
                await rig.caught_up(time.time())
                begun = time.time()
            async with rig.load(SEEDS, per_s=200, make=Asking(cached=True, about=topic)) as asked:
                again.append(asked)
            await asyncio.sleep(trouble.phase_s)
            faulty.append((begun, time.time()))
            await trouble.end(rig)
            back_s = max(back_s, await _hit_again(rig))
        load.stop()
    faults = rig.log_count("intake", "cache_unavailable")
    observed = await rig.conclude(recovery_s=back_s, recovery_limit_s=BACK_WITHIN_S, duplicates_at_most=0)
    plain_s, away_s = latencies_s(rig, load, calm), latencies_s(rig, load, faulty)
    share = median(away_s) / median(plain_s)
    added_s = sum(away_s) / len(away_s) - sum(plain_s) / len(plain_s)
    hits = sum(a.cache is not CacheState.MISS for asked in again for a in answers(rig, asked))
    processes = rig.fleet.spec.roles["intake"]
    return observed.also(
        *not_answered(rig, load, "requests"),
        *(problem for asked in again for problem in not_answered(rig, asked, "repeated questions")),
        f"{hits} of {SEEDS * trouble.rounds} repeated questions were answered from a cache that was away" if hits else "",
        f"latency {share:.3f} of calm, the limit is {MOST_SHARE:g}" if share > MOST_SHARE else "",
        f"{added_s * 1000:.0f} ms added, the limit is {MOST_ADDED_S * 1000:g} ms" if added_s > MOST_ADDED_S else "",
        *_breaker(faults, trouble.rounds * processes, away=trouble.away),
        notes=(
            f"median {share:.3f} of calm ({median(plain_s) * 1000:.0f} ms), mean {added_s * 1000:+.1f} ms",
            f"p99 {p99(away_s) / p99(plain_s):.2f} of calm",
        ),
    )


def _breaker(opened: int, most: int, *, away: bool) -> list[str]:
    """A breaker opens once in each process for each time that the cache goes away, and never else."""
    if away and not 1 <= opened <= most:
        return [f"the breaker opened {opened} times, 1 to {most} were expected"]
    return [f"the breaker opened {opened} times, though the cache was there"] if not away and opened else []


async def _kept(rig: Rig) -> str:
    """A topic whose questions are answered and kept in Valkey, and that no process has met there yet."""
    async with rig.load(SEEDS, per_s=200, make=Asking(cached=True)) as seeds:
        pass
    await rig.caught_up(time.time())
    await asyncio.sleep(0.5)
    await _hit_again(rig)
    return seeds.name


async def _hit_again(rig: Rig) -> float:
    """Seconds until questions that were asked before are answered from the cache again, by every intake process."""
    begun = time.time()
    topic = f"the return at {begun}"
    while time.time() < begun + 2 * BACK_WITHIN_S:
        async with rig.load(7, per_s=1_000, make=Asking(cached=True, about=topic)) as asked:
            pass
        await rig.caught_up(time.time())
        if all(a.cache is CacheState.HIT for a in answers(rig, asked)):
            return time.time() - begun
        await asyncio.sleep(0.3)
    raise TimeoutError(f"the cache is not used again {2 * BACK_WITHIN_S:g} s after it came back")


async def _stretch(seconds: float) -> Span:
    begun = time.time()
    await asyncio.sleep(seconds)
    return begun, time.time()


async def _start_without(rig: Rig) -> None:
    """Every process that uses the cache starts while nothing listens at its address."""
    await rig.stack.halt("valkey")
    names = [("intake", 0), ("intake", 1), ("tables", 0)]
    await asyncio.gather(*(rig.fleet.end(role, signal.SIGTERM, index=index) for role, index in names))
    await rig.stack.until_running("intake")
    await rig.stack.until_running("tables")


async def _nothing(rig: Rig) -> None:
    pass


def _resume(rig: Rig) -> Awaitable[None]:
    return rig.stack.resume("valkey")


CASES = [
    Case(case_id, title, partial(without_cache, trouble=trouble))
    for case_id, title, trouble in (
        (
            "F12-start",
            "Valkey away from the start",
            Trouble(_start_without, _resume, at_rest=True, rounds=1, phase_s=8.0),
        ),
        (
            "F12-killed",
            "Valkey killed under load",
            Trouble(lambda rig: rig.stack.halt("valkey", number=signal.SIGKILL), _resume),
        ),
        (
            "F12-hung",
            "Valkey hung (SIGSTOP)",
            Trouble(
                lambda rig: rig.fleet.send("valkey", signal.SIGSTOP),
                lambda rig: rig.fleet.send("valkey", signal.SIGCONT),
            ),
        ),
        ("F12-flushed", "Valkey emptied", Trouble(lambda rig: rig.flush_cache(), _nothing, away=False)),
    )
]
