"""Many seeds on all cores: what failed, and how often each kind of thing happened."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from tests.simulation.plants import PLANTS, planted
from tests.simulation.play import play
from tests.simulation.schedule import schedule_of

CHUNK = 250
REPLAYED_EVERY = 16
"""One seed in so many is recorded and folded a second time (promise 7)."""
CRITICAL = 50


@dataclass(slots=True)
class Tally:
    """What came of some seeds."""

    seeds: int = 0
    count: Counter[str] = field(default_factory=Counter)
    failures: dict[int, list[str]] = field(default_factory=dict)
    took_s: float = 0.0

    def add(self, other: "Tally") -> None:
        self.seeds += other.seeds
        self.count += other.count
        self.failures |= other.failures

    @property
    def rate(self) -> float:
        """Schedules a second, all processes together."""
        return self.seeds / self.took_s if self.took_s else 0.0


def quiet() -> None:
    """Let the product's own log lines go: here, records that nobody can read are daily bread."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))


@contextmanager
def quieted() -> Iterator[None]:
    """`quiet`, for a while."""
    before = structlog.get_config() if structlog.is_configured() else None
    quiet()
    try:
        yield
    finally:
        if before is None:
            structlog.reset_defaults()
        else:
            structlog.configure(**before)


def run_seeds(first: int, count: int, plant: str | None = None, *, until: str | None = None) -> Tally:
    """Seeds `first` to `first + count` in this process; no further than the first that breaks the invariant `until`."""
    tally, begin = Tally(), time.perf_counter()
    with planted(PLANTS[plant] if plant else None) as parts:
        for seed in range(first, first + count):
            world = play(schedule_of(seed), parts, recording=plant is None and seed % REPLAYED_EVERY == 1)
            tally.seeds += 1
            tally.count += world.count
            tally.count["replayed"] += len(world.recorded or ())
            if world.problems:
                tally.failures[seed] = world.problems
                if until is not None and any(problem.startswith(until) for problem in world.problems):
                    break
    tally.took_s = time.perf_counter() - begin
    return tally


def campaign(first: int, count: int, *, plant: str | None = None, jobs: int | None = None) -> Tally:
    """Seeds spread over `jobs` processes (all cores by default), a few chunks ahead: a million take no more memory."""
    tally, begin = Tally(), time.perf_counter()
    jobs = jobs or multiprocessing.cpu_count()
    if jobs == 1:
        with quieted():
            for start, size in _chunks(first, count):
                tally.add(run_seeds(start, size, plant))
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=quiet) as pool:
            waiting: set[Future[Tally]] = set()
            for start, size in _chunks(first, count):
                waiting.add(pool.submit(run_seeds, start, size, plant))
                if len(waiting) >= 4 * jobs:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        tally.add(future.result())
            for future in waiting:
                tally.add(future.result())
    tally.took_s = time.perf_counter() - begin
    return tally


def _chunks(first: int, count: int) -> Iterator[tuple[int, int]]:
    for start in range(first, first + count, CHUNK):
        yield start, min(CHUNK, first + count - start)
