"""A failing schedule for a reader: shrunk, as a numbered list of who did what, with the command that plays it again."""

from tests.simulation.plants import PLANTS
from tests.simulation.schedule import Schedule, schedule_of
from tests.simulation.shrink import run, shrink

COMMAND = ".venv/bin/python -m tests.simulation --seed {seed}{plant}"


def history_of(schedule: Schedule, plant: str | None = None) -> str:
    """What happens in the schedule, line by line, and what broke."""
    world = run(schedule, PLANTS[plant] if plant else None, telling=True)
    lines = [f"{number:>4}. {line}" for number, line in enumerate(world.history, start=1)]
    return "\n".join([*lines, *(f"      broken: {problem}" for problem in world.problems)])


def explain(seed: int, plant: str | None = None) -> str:
    """The shortest history found that breaks the same invariant as the seed does, and how to see it again."""
    found = schedule_of(seed)
    smallest = shrink(found, PLANTS[plant] if plant else None)
    policy = smallest.policy
    head = (
        f"seed {seed}{f' with the bug {plant}' if plant else ''}: {len(found.steps)} steps and {len(found.requests)} requests,"
        f" shrunk to {len(smallest.steps)} and {len(smallest.requests)}; {policy.max_attempts} attempts, circuits open after"
        f" {policy.circuit_failures} failures, finished requests remembered for {policy.dedupe_horizon.total_seconds():.0f} s"
    )
    command = COMMAND.format(seed=seed, plant=f" --plant {plant}" if plant else "")
    return f"{head}\n{history_of(smallest, plant)}\nreplay: {command}"
