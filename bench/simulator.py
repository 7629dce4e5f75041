"""CPU and throughput of the simulator: non-streamed chat replies at 32 connections, call log off, unsynced and synced.

    python bench/simulator.py [--seconds 4] [--rounds 3] [--connections 32] [--stream]

Rounds are interleaved, so that what else the machine does falls on all three alike. The client is this process: compare the
CPU figures, which are the simulator's own (user and system, from /proc); the throughput is bounded by both.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop

MODES = ("no log", "log, no fsync", "log, fsync")


def request_bytes(*, stream: bool, tokens: int) -> bytes:
    messages = [
        {"role": "system", "content": "You are a careful assistant. " * 4},
        {"role": "user", "content": f"[[sim in=400 out={tokens}]] " + "Please sum this up: the quick brown fox. " * 30},
    ]
    body = json.dumps({"model": "gpt-4o-mini", "messages": messages, "temperature": 0.2, "stream": stream}).encode()
    head = (
        "POST /openai/v1/chat/completions HTTP/1.1\r\nHost: simulator\r\nContent-Type: application/json\r\n"
        "Authorization: Bearer simulated\r\nx-penstock-call-id: 01J0000000000000000000000\r\n"
        f"x-penstock-request-id: r-1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """Sends the same request again as soon as the reply is whole."""

    def __init__(self, request: bytes, latencies_s: list[float], *, stream: bool) -> None:
        self.request, self.latencies_s, self.stream = request, latencies_s, stream
        self.buffer, self.sent_s, self.stopping = b"", 0.0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent_s = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.stream:
            whole = self.buffer.endswith(b"0\r\n\r\n")
        else:
            head, found, body = self.buffer.partition(b"\r\n\r\n")
            whole = found and len(body) == int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if not whole:
            return
        assert self.buffer.startswith(b"HTTP/1.1 200"), self.buffer[:300]
        self.latencies_s.append(time.perf_counter() - self.sent_s)
        self.buffer = b""
        if not self.stopping:
            self.send()


async def load(port: int, request: bytes, *, connections: int, seconds: float, stream: bool) -> list[float]:
    loop = asyncio.get_running_loop()
    latencies_s: list[float] = []
    pairs = [
        await loop.create_connection(lambda: Client(request, latencies_s, stream=stream), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for _, client in pairs:
        client.stopping = True
    await asyncio.sleep(0.1)
    for transport, _ in pairs:
        transport.close()
    return latencies_s


def one_round(mode: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "streams.simulator"]
    if mode != MODES[0]:
        command += ["--call-log", str(folder / f"{time.monotonic_ns()}.jsonl")]
    if mode == MODES[1]:
        command.append("--no-fsync")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        request = request_bytes(stream=arguments.stream, tokens=arguments.tokens)
        watched = psutil.Process(process.pid)
        uvloop.run(load(port, request, connections=arguments.connections, seconds=0.5, stream=arguments.stream))
        before = watched.cpu_times()
        found = uvloop.run(
            load(port, request, connections=arguments.connections, seconds=arguments.seconds, stream=arguments.stream)
        )
        after = watched.cpu_times()
        rss_mb = watched.memory_info().rss / 1e6
        process.terminate()
    cpu_s = after.user - before.user + after.system - before.system
    return {
        "cpu_ms_per_reply": cpu_s * 1000 / len(found),
        "replies_per_s": len(found) / arguments.seconds,
        "p50_ms": statistics.median(found) * 1000,
        "p99_ms": statistics.quantiles(found, n=100)[98] * 1000,
        "rss_mb": rss_mb,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--stream", action="store_true")
    arguments = parser.parse_args()
    os.chdir(Path(__file__).parent.parent)
    rounds: dict[str, list[dict[str, float]]] = {mode: [] for mode in MODES}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds):
            for mode in MODES:
                rounds[mode].append(one_round(mode, Path(folder), arguments))
    for mode, found in rounds.items():
        medians = {name: round(statistics.median(r[name] for r in found), 3) for name in found[0]}
        print(json.dumps({"mode": mode, "connections": arguments.connections, "stream": arguments.stream, **medians}))


if __name__ == "__main__":
    main()
