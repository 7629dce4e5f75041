"""The smallest schedule that still fails: steps and requests are left out while the same invariant breaks."""

import time
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.plants import Plant, planted
from tests.simulation.play import play
from tests.simulation.schedule import Schedule
from tests.simulation.world import World

MAX_RUNS = 1_500
MAX_SECONDS = 20.0


class _Budget:
    """Bounds the search by runs; by time only as a last resort, for that would not be the same twice."""

    def __init__(self) -> None:
        self.runs = 0
        self._end = time.monotonic() + MAX_SECONDS

    def spend(self) -> bool:
        self.runs += 1
        return self.runs <= MAX_RUNS and time.monotonic() < self._end


def run(schedule: Schedule, plant: Plant | None, *, telling: bool = False) -> World:
    with planted(plant) as parts:
        return play(schedule, parts, telling=telling)


def kinds(world: World) -> set[str]:
    """Which invariants broke: the part of each problem before its colon."""
    return {problem.partition(":")[0] for problem in world.problems}


def shrink(schedule: Schedule, plant: Plant | None = None) -> Schedule:
    """A schedule of fewer steps, requests and partitions that breaks one of the same invariants. The same for the same input."""
    wanted, budget = kinds(run(schedule, plant)), _Budget()

    def fails(candidate: Schedule) -> bool:
        return budget.spend() and bool(wanted & kinds(run(candidate, plant)))

    for simpler in ({"partitions": 1}, {"dead_end": False}, {"avro": False}):
        if fails(candidate := replace(schedule, **simpler)):
            schedule = candidate
    while True:
        before = schedule
        schedule = _fewer(schedule, "steps", fails)
        schedule = _fewer(schedule, "requests", fails)
        if schedule == before:
            return schedule


def _fewer(schedule: Schedule, name: str, fails: Callable[[Schedule], bool]) -> Schedule:
    """Leave out ever smaller runs of steps (or requests), from the end, as long as it fails without them (delta debugging)."""
    items: tuple[object, ...] = getattr(schedule, name)
    size = max(len(items) // 2, 1)
    while size >= 1:
        end = len(items)
        while end > 0:
            start = max(end - size, 0)
            fewer = items[:start] + items[end:]
            if fails(candidate := replace(schedule, **{name: fewer})):
                schedule, items = candidate, fewer
            end = start
        size //= 2
    return schedule
