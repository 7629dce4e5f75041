"""`python -m tests.simulation`: many seeds with a table of what they covered, or one with its history."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tests.simulation.campaign import Tally, campaign, quieted, run_seeds
from tests.simulation.coverage import FLOORS, missing
from tests.simulation.history import explain
from tests.simulation.plants import PLANTS

WIDTH = 120
SHOWN = 3
"""How many failing seeds are shrunk and shown."""


def main(arguments: list[str] | None = None) -> int:
    """0 when every seed holds, or when a planted bug was caught; else 1."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, width=WIDTH)
    with quieted():
        return _run(options, console)


def _run(options: argparse.Namespace, console: Console) -> int:
    if options.seed is not None:
        tally = run_seeds(options.seed, 1, options.plant)
        if not tally.failures:
            console.print(f"seed {options.seed} holds", markup=False)
            return int(options.plant is not None)
        console.print(explain(options.seed, options.plant), markup=False)
        return int(options.plant is None)
    tally = campaign(options.first, options.seeds, plant=options.plant, jobs=options.jobs)
    console.print(_table(tally))
    console.print(
        f"{tally.seeds} schedules in {tally.took_s:.1f} s, {tally.rate:.0f}/s; {len(tally.failures)} failed", markup=False
    )
    for seed in sorted(tally.failures)[:SHOWN]:
        console.print(explain(seed, options.plant), markup=False)
    if len(tally.failures) > SHOWN:
        console.print(f"all that failed: {sorted(tally.failures)}", markup=False)
    if options.plant is not None:
        return int(not tally.failures)
    lacking = missing(tally) if tally.seeds >= 10_000 else []
    for line in lacking:
        console.print(line, markup=False)
    return int(bool(tally.failures or lacking))


def _table(tally: Tally) -> Table:
    table = Table("what happened", "how often", "at least in 10,000 seeds")
    for name in sorted(tally.count.keys() | FLOORS.keys()):
        table.add_row(name, str(tally.count[name]), str(FLOORS.get(name, "")))
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play one seed; its history, shrunk, when it fails")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="plant this bug")
    parser.add_argument("--jobs", type=int, help="processes; all cores by default")
    return parser


if __name__ == "__main__":
    sys.exit(main())
