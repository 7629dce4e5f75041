"""Measures HTTP gateways in front of the same simulator, in turn with the pipeline, 32 in flight.

    python bench/peers.py [--quick] [--only litellm,portkey] [--rounds 3] [--output FILE]

They are installed from their packages, each into an environment of its own under `.penstock/bench/`; one that cannot be is
skipped, and the reason stands in the result. What they do and what the pipeline does is not the same work:
`docs/benchmarks.md` says what the figures compare.
"""

import asyncio
import json
import shutil
import statistics
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
from driver import PROMPT
from gateways import MODEL, Gateway, Skipped, asked, litellm, portkey, running
from http_load import Ask
from machine import ROOT, described
from options import or_exit, parsed, write
from rich.console import Console
from rich.table import Table
from rig import PROVIDER, Rig, open_rig

from streams.embedded.ports import free_port

PEERS = {"litellm": litellm, "portkey": portkey}
IN_FLIGHT = 32
BODY: Mapping[str, object] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": f"bench: {PROMPT}"}],
    "max_tokens": 64,
    "temperature": 0.2,
}
Samples = dict[str, dict[str, list[float]]]
_out = Console(stderr=True)


def main() -> None:
    options = parsed(__doc__, PEERS, output="peers.json")
    rounds = options.rounds or (1 if options.quick else 3)
    result = or_exit(lambda: asyncio.run(run(options.wanted, rounds=rounds, requests=500 if options.quick else 2_000)))
    write(json.dumps(result, indent=2) + "\n", options)
    show(result)


async def run(wanted: list[str], *, rounds: int, requests: int) -> dict[str, Any]:
    """Start everything, take the rounds in turn, stop everything."""
    about = described()
    parent = ROOT / ".penstock" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    data_dir = Path(tempfile.mkdtemp(prefix="peers-", dir=parent))
    samples: Samples = {}
    try:
        async with AsyncExitStack() as parts:
            rig = await parts.enter_async_context(open_rig(data_dir, on_event=lambda _: None))
            peers, skipped = await _started(wanted, str(rig.stack.settings.simulator_url), parts)
            await rig.run(rig.plan(1_000, in_flight=64))
            for gateway, process in peers:
                await _asked(gateway, process, 300)
            for _ in range(rounds):
                for gateway, process in peers:
                    _keep(samples, gateway.name, await _asked(gateway, process, requests))
                await _pipeline(rig, samples, requests)
    finally:
        shutil.rmtree(data_dir, ignore_errors=True)
    medians = {name: {key: _median(values) for key, values in found.items()} for name, found in samples.items()}
    ours = medians["pipeline_c256"]["rps"]
    return {
        **about,
        "rounds": rounds,
        "in_flight": IN_FLIGHT,
        "versions": {gateway.name: gateway.version for gateway, _ in peers},
        "skipped": skipped,
        **{f"pipeline_to_{gateway.name}": round(ours / medians[gateway.name]["rps"], 2) for gateway, _ in peers},
        **medians,
        "samples": samples,
    }


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


async def _started(
    wanted: list[str], simulator_url: str, parts: AsyncExitStack
) -> tuple[list[tuple[Gateway, psutil.Process]], dict[str, str]]:
    peers, skipped = [], {}
    for name in wanted:
        _out.print(f"preparing {name}")
        try:
            gateway = await PEERS[name](simulator_url, free_port())
            peers.append((gateway, await parts.enter_async_context(running(gateway, BODY))))
        except Skipped as reason:
            skipped[name] = str(reason)
            _out.print(f"skipped {reason}")
    return peers, skipped


async def _asked(gateway: Gateway, process: psutil.Process, requests: int) -> dict[str, float]:
    """Rate, latency and CPU of a gateway, its child processes included."""
    before = _cpu_s(process)
    ask = Ask(gateway.port, gateway.path, gateway.headers, json.dumps(BODY), IN_FLIGHT, requests)
    found = await asked(ask, gateway.name)
    return {
        "rps": found["rps"],
        "latency_ms_p50": found["latency_ms_p50"],
        "latency_ms_p99": found["latency_ms_p99"],
        "cpu_ms_per_request": (_cpu_s(process) - before) * 1000 / requests,
        "rss_mb": sum(p.memory_info().rss for p in _family(process)) / 1e6,
    }


async def _pipeline(rig: Rig, samples: Samples, requests: int) -> None:
    for in_flight in (IN_FLIGHT, 256):
        found, cpu = await rig.run_with_cpu(rig.plan(requests if in_flight == IN_FLIGHT else 2 * requests, in_flight=in_flight))
        kept = {name: found[name] for name in ("rps", "latency_ms_p50", "latency_ms_p99")}
        kept["cpu_ms_per_request"] = sum(cpu[role] for role in rig.roles)
        kept["cpu_ms_per_request_with_kafka"] = kept["cpu_ms_per_request"] + cpu["kafka"]
        _keep(samples, f"pipeline_c{in_flight}", kept)


def _keep(samples: Samples, name: str, found: Mapping[str, float]) -> None:
    for key, value in found.items():
        samples.setdefault(name, {}).setdefault(key, []).append(round(value, 3))


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _cpu_s(process: psutil.Process) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in _family(process))


def show(result: dict[str, Any]) -> None:
    console = Console()
    console.print(f"commit {result['commit']}, {result['machine']['cores']} cores, provider {PROVIDER} simulated")
    table = Table("who", "req/s", "p50 ms", "p99 ms", "CPU ms/request", "version")
    for name in result["samples"]:
        row = result[name]
        columns = ("rps", "latency_ms_p50", "latency_ms_p99", "cpu_ms_per_request")
        table.add_row(name, *(f"{row[column]:g}" for column in columns), result["versions"].get(name, ""))
    console.print(table)
    for name, value in result.items():
        if name.startswith("pipeline_to_"):
            console.print(f"{name}: {value:g}")


if __name__ == "__main__":
    main()
