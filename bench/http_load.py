"""The load for HTTP gateways: one chat completion after another on each connection, over bare asyncio. A process of its own.

    python bench/http_load.py ASK          ASK is the JSON of `Ask`

Ends with one line of JSON: requests a second between the first and the last tenth, and latencies.
"""

import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import uvloop
from driver import quantiles, rates

NUMBER = b"{number}"
_TEXT = re.compile(rb'"content":\s*"[^"]')


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask of whom, how often, and on how many connections at a time.

    `{number}` in the body becomes the number of the request, so that each differs. With `stream` the latency is that of the
    first text in the stream.
    """

    port: int
    path: str
    headers: Mapping[str, str]
    body: str
    connections: int
    count: int
    stream: bool = False


class Client(asyncio.Protocol):
    """Sends the next request as soon as the reply is whole, while the run has some left."""

    def __init__(self, run: "Run") -> None:
        self.run, self.buffer, self.sent_s, self.told = run, b"", 0.0, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        if self.run.left == 0:
            self.transport.close()
            return
        self.run.left -= 1
        self.sent_s, self.told = time.monotonic(), False
        self.transport.write(self.run.request.replace(NUMBER, b"%08d" % self.run.left))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if self.run.stream and not self.told and _TEXT.search(body):
            self.told = True
            self.run.latencies_ms.append((time.monotonic() - self.sent_s) * 1000)
        if not found or not _whole(head.lower(), body):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.run.fail(RuntimeError(f"the gateway answered {self.buffer[:400]!r}"))
            return
        now_s = time.monotonic()
        if not self.run.stream:
            self.run.latencies_ms.append((now_s - self.sent_s) * 1000)
        self.run.answered.append(now_s)
        self.buffer = b""
        if len(self.run.answered) == self.run.count:
            self.run.done.set_result(None)
        self.send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.run.done.done() and self.run.left:
            self.run.fail(RuntimeError(f"the gateway closed a connection: {error!r}"))


class Run:
    """What the clients of a run share."""

    def __init__(self, request: bytes, count: int, *, stream: bool) -> None:
        self.request, self.count, self.left, self.stream = request, count, count, stream
        self.latencies_ms: list[float] = []
        self.answered: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


def _whole(head: bytes, body: bytes) -> bool:
    if b"content-length: " in head:
        return len(body) == int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return body.endswith(b"0\r\n\r\n")


async def main(ask: Ask) -> dict[str, Any]:
    headers = {
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        **ask.headers,
        "Content-Length": str(len(ask.body.encode())),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    run = Run(f"POST {ask.path} HTTP/1.1\r\n{head}\r\n{ask.body}".encode(), ask.count, stream=ask.stream)
    process = psutil.Process()
    cpu_s, began_s = sum(process.cpu_times()[:2]), time.monotonic()
    loop = asyncio.get_running_loop()
    for _ in range(ask.connections):
        await loop.create_connection(lambda: Client(run), "127.0.0.1", ask.port)
    await asyncio.wait_for(run.done, timeout=300)
    return {
        **rates(run.answered, run.count, began_s),
        **{f"latency_ms_{name}": value for name, value in quantiles(run.latencies_ms).items()},
        "cpu_ms_per_request": (sum(process.cpu_times()[:2]) - cpu_s) * 1000 / run.count,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(Ask(**json.loads(sys.argv[1]))))), flush=True)
