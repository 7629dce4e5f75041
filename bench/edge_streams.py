"""Many slow streams at once through the HTTP edge: what it takes in memory, and whether every chunk arrives.

    python bench/edge_streams.py [--quick] [--output FILE]

Each stream is one call of the simulator that gives ten tokens a second for twenty seconds. `chunks_missing` counts the texts in
`ai.chunks` that no client has read; `took_s` is how long the slowest stream took, of which twenty seconds are the provider's.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop
from aiokafka import AIOKafkaConsumer
from machine import described
from options import or_exit, parsed, write
from rich.console import Console
from rig import PROVIDER, data_dir, inherited, show_trouble

from schemas.outcomes import ResponseChunk
from schemas.serde import Serde
from streams import topics
from streams.embedded.assembly import EDGE
from streams.embedded.plan import StackPlan, every_role
from streams.embedded.stack import Stack
from streams.settings import Settings

STREAMS, QUICK_STREAMS = 2_000, 200
TOKENS, PER_TOKEN_MS = 200, 100
EDGES = 2
CALL_TIMEOUT_S = 600
_OPENED_TOGETHER = 100
_out = Console(stderr=True)


class Reader(asyncio.Protocol):
    """One client: sends its request, and counts the texts that come."""

    def __init__(self, number: int, ended: asyncio.Future[None]) -> None:
        self._number, self.ended = number, ended
        self._rest = b""
        self.texts = 0
        self.begun_s = self.first_s = self.last_s = 0.0
        self.whole = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        content = f"[[sim out={TOKENS}]] Stream number {self._number}"
        body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": content}], "max_tokens": TOKENS}
        text = json.dumps(body).encode()
        lines = (
            "POST /v1/chat/completions HTTP/1.1",
            "Host: 127.0.0.1",
            "Content-Type: application/json",
            f"Content-Length: {len(text)}",
        )
        head = "\r\n".join((*lines, "", ""))
        self.begun_s = time.monotonic()
        self._transport.write(head.encode() + text)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: "):
                continue
            if line.startswith(b"data: [DONE]"):
                self.whole, self.last_s = True, time.monotonic()
                self._transport.close()
                return
            if any(choice["delta"].get("content") for choice in json.loads(line[6:])["choices"]):
                self.texts += 1
                self.first_s = self.first_s or time.monotonic()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - whether it was whole says more
        if not self.ended.done():
            self.ended.set_result(None)


class Memory:
    """The resident memory of processes together, in bytes: as it was, and the most that was seen."""

    def __init__(self, pids: list[int]) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self.before = self.most = self._now()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self.most = max(self.most, self._now())

    def _now(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)


def main() -> None:
    options = parsed(__doc__, (), output="edge-streams.json")
    streams = QUICK_STREAMS if options.quick else STREAMS
    result = or_exit(lambda: uvloop.run(run(streams)))
    write(json.dumps(result, indent=2) + "\n", options)
    _out.print(result)


async def run(streams: int) -> dict[str, Any]:
    """Start a stack of its own, open all streams, read them to their ends."""
    about = described()
    with data_dir() as folder:
        plan = StackPlan(
            settings=Settings(
                _env_file=None,
                data_dir=folder,
                edge_insecure_local=True,
                request_timeout_s=CALL_TIMEOUT_S,
                deployments_file=_catalogue(folder, streams),
            ),
            providers=(PROVIDER,),
            roles={**every_role((PROVIDER,)), EDGE: EDGES},
            environment=inherited(),
            simulator=True,
            simulator_profile=_profile(folder),
        )
        async with Stack(plan, on_event=show_trouble) as stack:
            pids = stack.pids(EDGE)
            memory = Memory(pids)
            watching = asyncio.create_task(memory.watch())
            readers = await _read(stack.settings.edge_port, streams)
            watching.cancel()
            written = await _texts_written(stack.bootstrap_servers)
    texts = sum(reader.texts for reader in readers)
    took = sorted(reader.last_s - reader.begun_s for reader in readers if reader.whole)
    first = sorted(reader.first_s - reader.begun_s for reader in readers if reader.first_s)
    return {
        **about,
        "streams": streams,
        "edge_processes": EDGES,
        "whole": len(took),
        "texts_read": texts,
        "texts_written": written,
        "chunks_missing": written - texts,
        "edge_rss_mb_before": round(memory.before / 2**20),
        "edge_rss_mb_most": round(memory.most / 2**20),
        "first_text_s_p50": round(first[len(first) // 2], 2) if first else None,
        "took_s_p50": round(took[len(took) // 2], 1) if took else None,
        "took_s_most": round(took[-1], 1) if took else None,
    }


async def _read(port: int, streams: int) -> list[Reader]:
    loop, readers = asyncio.get_running_loop(), []
    for number in range(streams):
        reader = Reader(number, loop.create_future())
        await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)
        readers.append(reader)
        if number % _OPENED_TOGETHER == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*(reader.ended for reader in readers)), CALL_TIMEOUT_S)
    return readers


async def _texts_written(bootstrap_servers: str) -> int:
    codec, texts = Serde().of(ResponseChunk), 0
    consumer = AIOKafkaConsumer(topics.CHUNKS, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(consumer.assignment())
        await consumer.seek_to_beginning()
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                texts += sum(bool(codec.decode(record.value).content) for record in records)
    finally:
        await consumer.stop()
    return texts


def _catalogue(folder: Path, streams: int) -> Path:
    path = folder / "deployments.json"
    deployment = {"provider": PROVIDER, "model": "gpt-4o-mini", "timeout_s": CALL_TIMEOUT_S, "max_concurrency": streams}
    providers = {PROVIDER: {"kind": PROVIDER, "address": "http://127.0.0.1:1"}}
    path.write_text(json.dumps({"version": "streams", "providers": providers, "deployments": [deployment]}), encoding="utf-8")
    return path


def _profile(folder: Path) -> Path:
    path = folder / "profile.json"
    path.write_text(json.dumps({"default": {"first_token_ms": PER_TOKEN_MS, "per_token_ms": PER_TOKEN_MS}}), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
