"""The stages of the pipeline's benchmark. Each leaves samples in the rig; rounds take the pipeline and the raw loop in turn."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from driver import PROMPT
from load import load
from rig import PROVIDER, Rig

from streams import topics
from streams.embedded.readiness import poll
from streams.settings import Settings
from streams.verify.check import verify
from streams.verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything: the full run, or a quick look."""

    rounds: int = 3
    warm_up: int = 2_000
    throughput: int = 5_000
    raw_factor: int = 6
    latency_c1: int = 200
    latency_c32: int = 2_000
    lag_s: int = 10
    backlog: int = 20_000
    idle_s: float = 5.0


QUICK = Sizes(
    rounds=1, warm_up=500, throughput=1_500, raw_factor=4, latency_c1=60, latency_c32=600, lag_s=4, backlog=3_000, idle_s=2
)
LAG_RATE = 300.0


async def rest(rig: Rig, sizes: Sizes) -> None:
    """Memory and CPU of processes that have nothing to do, before the first request."""
    processes = rig.processes()
    before = processes.cpu_s()
    await asyncio.sleep(sizes.idle_s)
    spent = {name: cpu - before[name] for name, cpu in processes.cpu_s().items()}
    rig.keep_by_process("idle_cpu_percent", {name: cpu_s * 100 / sizes.idle_s for name, cpu_s in spent.items()})
    rig.keep_by_process("rss_mb", processes.rss_mb())


async def warm_up(rig: Rig, sizes: Sizes) -> None:
    await rig.run(rig.raw_plan(sizes.warm_up, in_flight=64))
    await rig.run(rig.plan(sizes.warm_up, in_flight=64))


async def throughput(rig: Rig, sizes: Sizes) -> None:
    """Requests a second with 256 in flight, and what each costs in CPU."""
    for _ in range(sizes.rounds):
        raw, raw_cpu = await rig.run_with_cpu(rig.raw_plan(sizes.throughput * sizes.raw_factor, in_flight=256))
        rig.keep("raw_loop_rps", raw["rps"])
        rig.keep_by_process(
            "raw_cpu_ms_per_request",
            {"raw relay": raw_cpu["raw relay"], "kafka": raw_cpu["kafka"], "driver": raw["cpu_ms_per_request"]},
        )
        await _steady(rig, sizes)


async def _steady(rig: Rig, sizes: Sizes) -> None:
    found, cpu = await rig.run_with_cpu(rig.plan(sizes.throughput, in_flight=256))
    rig.keep("pipeline_rps", found["rps"])
    rig.keep("latency_ms_p50_c256", found["latency_ms_p50"])
    rig.keep("latency_ms_p99_c256", found["latency_ms_p99"])
    rig.keep("cpu_ms_per_request", sum(cpu[role] for role in rig.roles))
    cpu.pop("raw relay")
    rig.keep_by_process("cpu_ms_per_request", {**cpu, "driver": found["cpu_ms_per_request"]})
    rig.keep_by_process("rss_mb_under_load", rig.processes().rss_mb())


async def latency(rig: Rig, sizes: Sizes) -> None:
    """Publish to response read, at 1 and 32 in flight; what the simulator itself takes is taken off."""
    for _ in range(sizes.rounds):
        for in_flight, requests in ((1, sizes.latency_c1), (32, sizes.latency_c32)):
            raw = await rig.run(rig.raw_plan(requests, in_flight=in_flight))
            simulator_ms = await _simulator_ms(rig)
            found = await rig.run(rig.plan(requests, in_flight=in_flight))
            for name in ("p50", "p99"):
                rig.keep(f"raw_loop_ms_{name}_c{in_flight}", raw[f"latency_ms_{name}"])
                rig.keep(f"added_ms_{name}_c{in_flight}", found[f"latency_ms_{name}"] - simulator_ms)
            rig.keep("simulator_ms_p50", simulator_ms)
            rig.keep(f"pipeline_rps_c{in_flight}", found["rps"])


async def _simulator_ms(rig: Rig, calls: int = 100) -> float:
    """One bare HTTP call after another: the median time of the simulator's answer."""
    body = {"model": "bench", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 64}
    url, took = f"{rig.stack.settings.simulator_url}/{PROVIDER}/v1/chat/completions", []
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer simulated"}) as session:
        for _ in range(calls):
            began_s = time.perf_counter()
            async with session.post(url, json=body) as reply:
                reply.raise_for_status()
                await reply.read()
            took.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took)


async def lag(rig: Rig, sizes: Sizes) -> None:
    """At 300 requests a second: from a response read to its call counted in the cost totals, as a reader of both sees it."""
    for _ in range(sizes.rounds):
        requests = int(LAG_RATE * sizes.lag_s)
        found = await rig.run(rig.plan(requests, rate=LAG_RATE, totals_topic=topics.COST_TOTALS))
        for name in ("p50", "p99"):
            rig.keep(f"cost_lag_ms_{name}", found[f"cost_lag_ms_{name}"])
            rig.keep(f"latency_ms_{name}_at_300_rps", found[f"latency_ms_{name}"])
        rig.keep("rps_at_300", found["rps"])


async def waiting(rig: Rig, sizes: Sizes) -> None:
    """Memory of the dispatcher a waiting request: the provider's worker is down, everything is ordered, nothing answered."""
    await rig.stack.halt("dispatch")
    await rig.stack.resume("dispatch")
    await rig.run(rig.plan(500, in_flight=32))
    async with load(rig.plan(sizes.backlog, in_flight=sizes.backlog)) as started:
        await rig.stack.halt(f"calls:{PROVIDER}")
        before = rig.processes().rss_mb()["dispatch"]
        await started.go()
        await started.until("published")
        await _until_ordered(rig)
        rig.keep("bytes_per_waiting_request", (rig.processes().rss_mb()["dispatch"] - before) * 1e6 / sizes.backlog)
        await rig.stack.resume(f"calls:{PROVIDER}")
        await started.result()


async def backlog(rig: Rig, sizes: Sizes) -> None:
    """What was published while all workers were down drains completely; its rate against the steady one before and after."""
    await _steady(rig, sizes)
    async with load(rig.plan(sizes.backlog, in_flight=sizes.backlog)) as started:
        for role in rig.roles:
            await rig.stack.halt(role)
        await started.go()
        await started.until("published")
        began_s = time.monotonic()
        await asyncio.gather(*(rig.stack.resume(role) for role in rig.roles))
        rig.keep("resume_s", time.monotonic() - began_s)
        found = await started.result()
    rig.keep("drain_rps", found["rps"])
    await _steady(rig, sizes)
    rig.keep("drain_ratio", found["rps"] / statistics.mean(rig.samples["pipeline_rps"][-2:]))


async def _until_ordered(rig: Rig, timeout_s: float = 120.0) -> None:
    """Return when intake and dispatcher have committed all that was published. Raises TimeoutError."""
    settings = rig.stack.settings

    async def ordered() -> bool:
        behind = await rig.lag(settings.group("intake"), topics.REQUESTS)
        return behind == 0 and await rig.lag(settings.group("dispatch"), topics.ROUTED) == 0

    async with asyncio.timeout(timeout_s):
        await poll(ordered, every_s=0.5)


async def clean(settings: Settings, call_log: Path | None) -> Verdict:
    """`penstock verify` over the whole log. Raises RuntimeError when it is not clean."""
    verdict = await verify(settings, call_log=call_log, wait_s=30)
    if not verdict.ok:
        raise RuntimeError(f"{verdict.line()}\n" + "\n".join(map(str, verdict.problems)))
    return verdict


async def check(rig: Rig, _sizes: Sizes) -> None:
    """Every figure before it is of a run that lost and doubled nothing."""
    verdict = await clean(rig.stack.settings, rig.stack.simulator_log)
    rig.keep("verified_requests", verdict.acknowledged)
    rig.keep("verify_s", verdict.took_s)


STAGES: Mapping[str, Callable[[Rig, Sizes], Awaitable[None]]] = {
    "rest": rest,
    "warm-up": warm_up,
    "throughput": throughput,
    "latency": latency,
    "lag": lag,
    "waiting": waiting,
    "backlog": backlog,
    "verify": check,
}
