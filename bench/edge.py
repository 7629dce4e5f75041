"""Measures the HTTP edge and HTTP gateways in front of the same simulator, in turn, on 1, 32 and 256 connections.

    python bench/edge.py [--quick] [--only litellm,portkey] [--rounds 3] [--output FILE]

Every request differs, so that no cache answers. `added_ms` are medians beside the same requests straight to the simulator in the
same round; `first_token_added_ms` likewise for streams. `docs/benchmarks.md` says what the figures compare.
"""

import asyncio
import json
import statistics
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import psutil
from gateways import MODEL, Gateway, Skipped, asked, litellm, portkey, running
from http_load import Ask
from machine import described
from options import or_exit, parsed, write
from rich.console import Console
from rich.table import Table
from rig import PROVIDER, SERVICES, Rig, data_dir, open_rig, show_trouble

from streams.embedded.ports import free_port

PEERS = {"litellm": litellm, "portkey": portkey}
CONNECTIONS = (1, 32, 256)
EDGES = 2
_out = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked: its address, the body's model, and the processes whose CPU counts as its own."""

    name: str
    port: int
    path: str
    model: str
    headers: dict[str, str]
    pids: tuple[int, ...]


@dataclass(slots=True)
class Samples:
    """Every figure of every round, by subject and connections."""

    found: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, subject: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.found.setdefault(subject, {}).setdefault(name, []).append(round(value, 3))

    def median(self, subject: str, name: str) -> float:
        return statistics.median(self.found[subject][name])


def main() -> None:
    options = parsed(__doc__, PEERS, output="edge.json")
    rounds = options.rounds or (1 if options.quick else 3)
    result = or_exit(lambda: asyncio.run(run(options.wanted, rounds=rounds, requests=400 if options.quick else 2_000)))
    write(json.dumps(result, indent=2) + "\n", options)
    show(result)


async def run(wanted: list[str], *, rounds: int, requests: int) -> dict[str, Any]:
    """Start everything, take the rounds in turn, stop everything."""
    about, samples = described(), Samples()
    with data_dir() as folder:
        async with AsyncExitStack() as parts:
            rig = await parts.enter_async_context(open_rig(folder, on_event=show_trouble, edges=EDGES))
            subjects, skipped, versions = await _subjects(rig, wanted, parts)
            for subject in subjects:
                await _asked(subject, 32, 300)
            for _ in range(rounds):
                for connections in CONNECTIONS:
                    for subject in subjects:
                        figures = await _asked(subject, connections, max(100, requests // 8) if connections == 1 else requests)
                        samples.add(f"{subject.name}_c{connections}", figures)
                for subject in subjects[:2]:  # the simulator and the edge: streams are not compared with gateways
                    samples.add(f"{subject.name}_first_token", await _asked(subject, 1, 100, stream=True))
    return {**about, "rounds": rounds, "versions": versions, "skipped": skipped, **summary(samples, subjects)}


def summary(samples: Samples, subjects: list[Subject]) -> dict[str, Any]:
    """Medians over rounds, the ratios that count, and every sample."""
    ratios = {
        f"edge_to_{subject.name}_c{connections}": round(
            samples.median(f"edge_c{connections}", "rps") / samples.median(f"{subject.name}_c{connections}", "rps"), 2
        )
        for subject in subjects
        if subject.name in PEERS
        for connections in CONNECTIONS[1:]
    }
    straight = {kind: samples.median(f"simulator_{kind}", "latency_ms_p50") for kind in ("c1", "first_token")}
    added = {
        f"{subject.name}_{kind}_added_ms": round(samples.median(f"{subject.name}_{kind}", "latency_ms_p50") - straight[kind], 2)
        for subject in subjects
        for kind in straight
        if subject.name != "simulator" and f"{subject.name}_{kind}" in samples.found
    }
    medians = {name: {key: statistics.median(values) for key, values in found.items()} for name, found in samples.found.items()}
    return {**ratios, **added, "medians": medians, "samples": samples.found}


async def _subjects(rig: Rig, wanted: list[str], parts: AsyncExitStack) -> tuple[list[Subject], dict[str, str], dict[str, str]]:
    simulator = str(rig.stack.settings.simulator_url)
    found = [
        Subject("simulator", int(simulator.rpartition(":")[2]), f"/{PROVIDER}/v1/chat/completions", MODEL, {}, ()),
        Subject("edge", rig.stack.settings.edge_port, "/v1/chat/completions", "auto", {}, _pids(rig)),
    ]
    skipped, versions = {}, {}
    for name in wanted:
        _out.print(f"preparing {name}")
        try:
            gateway: Gateway = await PEERS[name](simulator, free_port())
            body = {"model": MODEL, "messages": [{"role": "user", "content": "bench"}], "max_tokens": 64}
            process = await parts.enter_async_context(running(gateway, body))
        except Skipped as reason:
            skipped[name] = str(reason)
            _out.print(f"skipped {reason}")
            continue
        versions[name] = gateway.version
        pids = (process.pid, *(child.pid for child in process.children(recursive=True)))
        found.append(Subject(name, gateway.port, gateway.path, MODEL, dict(gateway.headers), pids))
    return found, skipped, versions


def _pids(rig: Rig) -> tuple[int, ...]:
    """All processes of ours that an HTTP request passes, Kafka's and the simulator's not among them."""
    return tuple(part.pid for name, part in rig.stack.info.parts.items() if name not in SERVICES)


async def _asked(subject: Subject, connections: int, requests: int, *, stream: bool = False) -> dict[str, float]:
    before = _cpu_s(subject.pids)
    body = {"model": subject.model, "messages": [{"role": "user", "content": "bench {number}"}], "max_tokens": 64}
    ask = Ask(subject.port, subject.path, subject.headers, json.dumps({**body, "stream": stream}), connections, requests, stream)
    told = await asked(ask, subject.name)
    figures = {name: told[name] for name in ("rps", "latency_ms_p50", "latency_ms_p99")}
    if subject.pids:
        figures["cpu_ms_per_request"] = (_cpu_s(subject.pids) - before) * 1000 / requests
    return figures


def _cpu_s(pids: tuple[int, ...]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def show(result: dict[str, Any]) -> None:
    """The medians as a table, and the ratios."""
    columns = ("rps", "latency_ms_p50", "latency_ms_p99", "cpu_ms_per_request")
    table = Table("", *columns)
    for name, figures in result["medians"].items():
        table.add_row(name, *(f"{figures[c]:g}" if c in figures else "" for c in columns))
    _out.print(table)
    for name, value in result.items():
        if name.endswith("_added_ms") or name.startswith("edge_to_"):
            _out.print(f"{name}: {value}")


if __name__ == "__main__":
    main()
