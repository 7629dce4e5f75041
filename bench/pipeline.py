"""Measures the whole pipeline on this machine, beside a raw aiokafka loop on the same broker.

    python bench/pipeline.py [--quick] [--only throughput,latency] [--rounds 3] [--output FILE]

Rounds are interleaved, so that what else the machine does falls on all alike: read ratios, and CPU milliseconds. Medians over
rounds; every sample is in the JSON. `docs/benchmarks.md` says how to read it.
"""

import asyncio
import json
import statistics
import time
from dataclasses import replace
from typing import Any

from machine import described
from options import or_exit, parsed, write
from rich.console import Console
from rich.table import Table
from rig import Rig, data_dir, open_rig, show_trouble
from stages import QUICK, STAGES, Sizes

ALWAYS = ("warm-up", "verify")
_out = Console(stderr=True)


def main() -> None:
    options = parsed(__doc__, (s for s in STAGES if s not in ALWAYS), output="latest.json")
    sizes = QUICK if options.quick else Sizes()
    if options.rounds:
        sizes = replace(sizes, rounds=options.rounds)
    stages = [s for s in STAGES if s in options.wanted or s in ALWAYS]
    result = or_exit(lambda: asyncio.run(run(stages, sizes)))
    write(json.dumps(result, indent=2) + "\n", options)
    show(result)


async def run(stages: list[str], sizes: Sizes) -> dict[str, Any]:
    """Start everything, run the stages in order, stop everything. The data directory goes away unless something fails."""
    about = described()
    with data_dir() as folder:
        async with open_rig(folder, on_event=show_trouble) as rig:
            for name in stages:
                began_s = time.monotonic()
                await STAGES[name](rig, sizes)
                _out.print(f"{name}: {time.monotonic() - began_s:.0f} s")
            return {**about, "rounds": sizes.rounds, "stages": stages, **summary(rig)}


def summary(rig: Rig) -> dict[str, Any]:
    """Medians by name, medians by process, and all samples."""
    medians = {name: _round(statistics.median(values)) for name, values in rig.samples.items()}
    by_process = {
        (name if name.startswith(("rss", "idle")) else f"{name}_by_process"): {
            process: _round(statistics.median(values)) for process, values in processes.items()
        }
        for name, processes in rig.by_process.items()
    }
    if "raw_loop_rps" in medians:
        medians["pipeline_to_raw_loop"] = _round(medians["pipeline_rps"] / medians["raw_loop_rps"])
    samples = {name: [_round(value) for value in values] for name, values in rig.samples.items()}
    return {**medians, **by_process, "samples": samples}


def show(result: dict[str, Any]) -> None:
    console = Console()
    console.print(f"commit {result['commit']}, {result['machine']['cores']} cores, {result['machine']['cpu']}")
    table = Table("figure", "median", "samples")
    for name, values in result["samples"].items():
        table.add_row(name, f"{result[name]:g}", " ".join(f"{value:g}" for value in values))
    console.print(table)
    columns = [name for name, value in result.items() if isinstance(value, dict) and name not in {"machine", "samples"}]
    table = Table("process", *columns)
    processes = dict.fromkeys(process for name in columns for process in result[name])
    for process in processes:
        table.add_row(process, *(f"{result[name][process]:g}" if process in result[name] else "" for name in columns))
    console.print(table)


def _round(value: float) -> float:
    """Three significant digits after the point where they mean something."""
    return round(value, 3 if abs(value) < 100 else 1)


if __name__ == "__main__":
    main()
