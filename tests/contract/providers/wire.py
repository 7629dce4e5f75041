"""A provider made of a socket: it reads one request after the other and answers with the bytes that it was told."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

import orjson


class Ending(Enum):
    """What becomes of the connection after the reply's bytes."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    HANG = auto()


@dataclass(frozen=True)
class Reply:
    """`cut`: after how many bytes of the body it stops; `declared`: the Content-Length, None for a chunked body."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    ending: Ending = Ending.KEEP
    cut: int | None = None
    chunked: bool = False
    pieces: int = 1
    silent: bool = False
    drip_s: float | None = None


@dataclass(frozen=True)
class Asked:
    path: str
    headers: dict[str, str]
    body: dict


@dataclass
class Server:
    address: str = ""
    replies: deque[Reply] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task] = field(default_factory=set)

    def will(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._tasks.add(asyncio.current_task())
        try:
            while (asked := await _read(reader)) is not None:
                self.asked.append(asked)
                self.arrived.set()
                if not await self._answer(self.replies.popleft(), writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        if not reply.silent:
            await _write(reply, writer)
        if reply.ending is Ending.RESET:
            # SO_LINGER of zero seconds makes the close a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif reply.ending is Ending.HANG:
            await asyncio.sleep(30)
        return reply.ending is Ending.KEEP

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(first.split(" ")[1], headers, orjson.loads(body))


async def _write(reply: Reply, writer: asyncio.StreamWriter) -> None:
    head = [f"HTTP/1.1 {reply.status} Some Reason", f"Content-Type: {reply.content_type}"]
    head.append("Transfer-Encoding: chunked" if reply.chunked else f"Content-Length: {len(reply.body)}")
    head += [f"{name}: {value}" for name, value in reply.headers]
    writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
    body = reply.body if reply.cut is None else reply.body[: reply.cut]
    size = 1 if reply.drip_s is not None else max(1, -(-len(body) // reply.pieces))
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.chunked else piece)
        await writer.drain()
        if reply.pieces > 1 or reply.drip_s is not None:
            await asyncio.sleep(reply.drip_s or 0)
    if reply.chunked and reply.ending is not Ending.RESET and not (reply.cut is not None and reply.ending is Ending.CLOSE):
        writer.write(b"0\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def provider() -> AsyncIterator[Server]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()
        await listening.wait_closed()
