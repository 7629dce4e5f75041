"""What `penstock verify` takes to check a log of many answered requests: memory, CPU and time, by the size of the log.

    python bench/verify_memory.py [--requests 20000,100000,1000000] [--logs] [--output bench/results/verify.json]

An embedded Kafka is filled with the complete, right log of so many requests (`verify_log.py`). Of 100 requests 70 are answered
at once, 15 from the cache, 8 after a refused call, and 7 after a lost call that was charged as an estimate; 3 of these are
adjusted later. At each size the real command runs as a child process, and its verdict must be clean. Then one request more is
written whose final response is missing, and the command must name it. `--logs` hands it the simulator's and the publisher's logs
of the same requests as well. One JSON object in the output file; the exit code is 1 when a verdict is not what it must be, or
when more memory was taken than is asked.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition
from machine import ROOT, described
from rich.console import Console
from rig import data_dir, inherited
from verify_log import PROVIDERS, Logs, Writer

from streams import topics
from streams.bootstrap import create_topics
from streams.embedded.kafka import EmbeddedKafka, KafkaPlan
from streams.embedded.ports import free_port
from streams.embedded.spawner import Spawner
from streams.settings import Settings

ASKED_MB = 300
_out = Console(stderr=True, soft_wrap=True)


async def commit_all(settings: Settings) -> None:
    """What intake and the workers would have committed: in steps, up to the ends as they are."""
    readers = {settings.group("intake"): topics.REQUESTS} | {settings.group(f"calls:{p}"): topics.calls(p) for p in PROVIDERS}
    for group, topic in readers.items():
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=settings.bootstrap_servers,
            group_id=group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1_000,
        )
        async with consumer:
            await consumer.getmany(timeout_ms=0)
            partitions = consumer.assignment()
            before = {tp: await consumer.committed(tp) or 0 for tp in partitions}
            ends: Mapping[TopicPartition, int] = await consumer.end_offsets(partitions)
            for step in range(1, 21):
                await consumer.commit({tp: before[tp] + (end - before[tp]) * step // 20 for tp, end in ends.items()})


def check(settings: Settings, folder: Path, logs: Logs | None) -> dict[str, Any]:
    """What the command says, and what it took: the process is a child of ours, so its CPU time is exact; memory is sampled."""
    argv = [sys.executable, "-P", "-m", "streams.cli.main", "verify", "--json", "--wait", "30"]
    argv += ["--bootstrap-servers", str(settings.bootstrap_servers)]
    if logs is not None:
        logs.flush()
        argv += ["--call-log", logs.calls.name, "--acknowledged-log", logs.acknowledged.name]
    out = folder / "verdict.json"
    began_s, peak = time.monotonic(), 0
    with out.open("w") as said:
        child = subprocess.Popen(argv, cwd=folder, env=inherited() | {"PYTHONPATH": str(ROOT)}, stdout=said)
        process = psutil.Process(child.pid)
        while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
            with suppress(psutil.Error):  # it may end in between
                peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
    _, status, spent = ended
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in {0, 1}:
        sys.exit(f"penstock verify ended with {child.returncode}, without a verdict")
    cpu_s = spent.ru_utime + spent.ru_stime
    verdict = json.loads(out.read_text())
    return {
        "peak_rss_mb": round(peak / 1e6, 1),
        "wall_s": round(time.monotonic() - began_s, 1),
        "cpu_s": round(cpu_s, 2),
        "cpu_us_per_request": round(cpu_s * 1e6 / max(1, verdict["acknowledged"]), 1),
        "verdict": verdict,
    }


async def measure(folder: Path, sizes: list[int], *, with_logs: bool) -> list[dict[str, Any]]:
    """One result a size, and last that of the log whose last request has no final response."""
    async with AsyncExitStack() as opened:
        spawner = await opened.enter_async_context(Spawner(log=folder / "leash.log"))
        broker = EmbeddedKafka(KafkaPlan(folder / "kafka", port=free_port(), log=folder / "kafka.log"), spawner)
        await broker.start()
        opened.push_async_callback(broker.stop)
        settings = Settings(_env_file=None, bootstrap_servers=broker.bootstrap_servers, data_dir=folder)
        # The log sets the times of its records itself.
        await create_topics(settings, PROVIDERS, config={"message.timestamp.type": "CreateTime"})
        client = {"bootstrap_servers": broker.bootstrap_servers, "max_batch_size": 1_000_000, "max_request_size": 2_000_000}
        plain = await opened.enter_async_context(AIOKafkaProducer(acks="all", **client))
        lanes = [
            await opened.enter_async_context(
                AIOKafkaProducer(transactional_id=settings.transactional_id(p), retry_backoff_ms=5, **client)
            )
            for p in range(settings.partitions)
        ]
        logs = None
        if with_logs:
            calls, acknowledged = (
                opened.enter_context((folder / f"{name}.jsonl").open("w")) for name in ("calls", "acknowledged")
            )
            logs = Logs(calls, acknowledged)
        writer = Writer(settings, plain, lanes, logs)
        found = []
        for size in sizes:
            began_s = time.monotonic()
            await writer.write(size - writer.requests)
            await commit_all(settings)
            _out.print(f"{size:,} requests written in {time.monotonic() - began_s:.0f} s")
            result = {"requests": size, "broken": None, **await asyncio.to_thread(check, settings, folder, logs)}
            said = result["verdict"]
            result["right"] = said["ok"] and (said["acknowledged"], said["final"], said["missing"]) == (size, size, 0)
            found.append(_shown(result))
        broken = await writer.break_one()
        result = {"requests": writer.requests, "broken": broken, **await asyncio.to_thread(check, settings, folder, logs)}
        named = [(problem["kind"], problem["key"]) for problem in result["verdict"]["problems"]]
        result["right"] = named == [("missing_final", broken)] and result["verdict"]["problem_count"] == 1
        return [*found, _shown(result)]


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    verdict = "as it must be" if result["right"] else f"WRONG: {result['verdict']['problems'][:3]}"
    _out.print(
        f"{result['requests']:,} requests{', one without its final' if result['broken'] else ''}: {result['peak_rss_mb']} MB, "
        f"{result['cpu_s']} s of CPU ({result['cpu_us_per_request']} us a request), {result['wall_s']} s; verdict {verdict}"
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", default="1000000", metavar="N,…", help="sizes of the log; it grows from one to the next")
    parser.add_argument("--logs", action="store_true", help="the simulator's and the publisher's logs are read as well")
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results" / "verify.json")
    options = parser.parse_args()
    sizes = sorted(int(size) for size in options.requests.split(","))
    about = described()
    with data_dir() as folder:
        results = asyncio.run(measure(folder, sizes, with_logs=options.logs))
    largest = max(result["peak_rss_mb"] for result in results)
    whole = {**about, "logs": options.logs, "asked_mb": ASKED_MB, "largest_rss_mb": largest, "results": results}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    _out.print(f"written to {options.output}")
    sys.exit(0 if all(result["right"] for result in results) and largest <= ASKED_MB else 1)


if __name__ == "__main__":
    main()
