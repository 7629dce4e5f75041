"""Bodies within their bounds: too long, too slow, broken off; over a real server, and a real socket that drips."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from streams.edge.body import read_bytes, read_object, read_optional_object
from streams.edge.principal import Refused
from streams.embedded.ports import free_port
from tests.unit.edge.operations_door import client, door

WITHIN_S = 0.5


async def small(http: Request) -> Response:
    return JSONResponse({"size": len(await read_bytes(http, most=1_000, within_s=WITHIN_S))})


async def an_object(http: Request) -> Response:
    return JSONResponse(await read_object(http))


async def maybe_an_object(http: Request) -> Response:
    return JSONResponse(await read_optional_object(http))


ROUTES = [
    Route(path, each, methods=["POST"]) for path, each in (("/small", small), ("/object", an_object), ("/maybe", maybe_an_object))
]


@pytest.fixture
def reader() -> TestClient:
    return client(door(), ROUTES)


@pytest.mark.parametrize(("size", "status"), [(0, 200), (1_000, 200), (1_001, 413), (100_000, 413)])
def test_a_body_that_is_too_long_ends_at_once(reader: TestClient, size: int, status: int) -> None:
    assert reader.post("/small", content=b"x" * size).status_code == status


def test_one_that_does_not_tell_its_length_too(reader: TestClient) -> None:
    assert reader.post("/small", content=iter([b"x" * 600, b"x" * 600])).status_code == 413
    assert reader.post("/small", content=iter([b"x" * 600, b"x" * 400])).json() == {"size": 1_000}


@pytest.mark.parametrize("length", ["99999999999999999999999999", "1001"])
def test_an_announced_length_is_believed_when_it_is_too_much(reader: TestClient, length: str) -> None:
    assert reader.post("/small", content=b"x", headers={"content-length": length}).status_code == 413


@pytest.mark.parametrize(
    ("body", "status"), [(b'{"a": 1}', 200), (b"[]", 400), (b"", 400), (b'{"a": ', 400), (b"\xff", 400), (b"[" * 5_000, 400)]
)
def test_objects(reader: TestClient, body: bytes, status: int) -> None:
    answer = reader.post("/object", content=body)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["code"] == "invalid_json"


def test_an_object_that_may_be_left_out(reader: TestClient) -> None:
    assert [reader.post("/maybe", content=body).json() for body in (b"", b" \n", b'{"a": 1}')] == [{}, {}, {"a": 1}]


async def test_a_client_that_leaves_within_its_body_is_no_defect() -> None:
    async def receive() -> Any:
        return sent.pop(0)

    sent = [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}]
    http = Request({"type": "http", "method": "POST", "headers": [], "path": "/"}, receive)
    with pytest.raises(Refused) as told:
        await read_bytes(http)
    assert told.value.refusal.status == 499


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[int]:
    """The routes on the server that the edge uses; gives the port."""
    port = free_port()
    app = client(door(), ROUTES).app
    server: Any = Server(app, port=port, interface=Interfaces.ASGI, log_enabled=False, http1_settings=HTTP1Settings(**settings))
    serving = asyncio.create_task(server.serve())
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                break
        yield port
    finally:
        server.stop()
        await asyncio.gather(serving, return_exceptions=True)


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        return await reader.read()


async def test_a_body_that_drips_ends() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /small HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        dripping = asyncio.create_task(_drip(writer, b"x"))
        answer = await _until_closed(reader)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_too_slow" in answer


async def test_headers_that_drip_end() -> None:
    async with served(header_read_timeout=500) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /small HTTP/1.1\r\nhost: x\r\nx-slow: ")
        dripping = asyncio.create_task(_drip(writer, b"x"))
        answer = await _until_closed(reader)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()
    assert not answer.startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("count_and_size", [(1, 1_000_000), (1_000, 10)])
async def test_headers_that_are_too_much_are_refused(count_and_size: tuple[int, int]) -> None:
    count, size = count_and_size
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        headers = b"".join(b"x-%d: %s\r\n" % (n, b"x" * size) for n in range(count))
        writer.write(b"POST /small HTTP/1.1\r\nhost: x\r\n" + headers + b"content-length: 0\r\n\r\n")
        answer = await _first_line(reader)
        writer.close()
    assert not answer.startswith(b"HTTP/1.1 2")


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        try:
            return await reader.readline()
        except ConnectionError:
            return b""


async def _drip(writer: asyncio.StreamWriter, drop: bytes) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        writer.write(drop)
        try:
            await writer.drain()
        except ConnectionError:
            return
        await asyncio.sleep(0.05)
