"""Measures what Penstock chooses: whom to call next, whom not to call, and when not to call at all.

    python bench/choices.py [--quick] [--only failover,resilience] [--output FILE]

Each stage has a stack of its own, with two processes a role. Every figure stands beside what is asked of it. The exit code is 1
when one does not hold. `docs/benchmarks.md` says how to read them.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvloop
from choices_stages import exact_hit, failover, hit_rate, limits, look_up, resilience
from choices_stages.figures import Figure
from choices_stages.sizes import QUICK, Sizes
from machine import described
from options import or_exit, parsed, write
from rich.console import Console
from rich.table import Table

STAGES: Mapping[str, Callable[[Sizes], Awaitable[list[Figure]]]] = {
    "failover": failover.measure,
    "resilience": resilience.measure,
    "limits": limits.measure,
    "exact-hit": exact_hit.measure,
    "hit-rate": hit_rate.measure,
    "look-up": look_up.measure,
}
_out = Console(stderr=True)


def main() -> None:
    options = parsed(__doc__, STAGES, output="choices.json", many_rounds=False)
    about, sizes = described(), QUICK if options.quick else Sizes()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = or_exit(lambda: runner.run(run(options.wanted, sizes)))
    write(text_of({**about, "quick": options.quick, "stages": options.wanted}, figures), options)
    show(about, figures)
    sys.exit(any(figure.holds is False for figure in figures))


async def run(stages: list[str], sizes: Sizes) -> list[Figure]:
    figures: list[Figure] = []
    for name in stages:
        began_s = time.monotonic()
        figures += await STAGES[name](sizes)
        _out.print(f"{name}: {time.monotonic() - began_s:.0f} s")
    return figures


def text_of(about: Mapping[str, Any], figures: list[Figure]) -> str:
    """JSON with one line a figure: its samples are for programs, the rest is for people."""
    head = json.dumps(about, indent=2).removesuffix("\n}")
    lines = ",\n".join(f"    {json.dumps(figure.as_data())}" for figure in figures)
    return f'{head},\n  "figures": [\n{lines}\n  ]\n}}\n'


def show(about: Mapping[str, Any], figures: list[Figure]) -> None:
    console = Console()
    console.print(f"commit {about['commit']}, {about['machine']['cores']} cores, {about['machine']['cpu']}")
    table = Table("figure", "value", "asked", "holds", "samples")
    for figure in figures:
        holds = {True: "yes", False: "[bold red]no[/]", None: ""}[figure.holds]
        table.add_row(figure.name, f"{figure.value:.5g}", figure.asked or "", holds, str(len(figure.samples) or ""))
    console.print(table)


if __name__ == "__main__":
    main()
