"""What goes over the socket: segments, endings, pace; and what the call log says of each."""

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streams.simulator.call_log import Call, read
from streams.simulator.running import Running

BODY = {"model": "m", "messages": [{"role": "user", "content": "[[sim in=100 out=40]]"}]}


def request(body: dict[str, Any], *, fault: str | None = None, path: str = "/openai/v1/chat/completions") -> bytes:
    raw = json.dumps(body).encode()
    more = f"x-sim-fault: {fault}\r\n" if fault else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: {len(raw)}\r\n{more}"
        "x-penstock-call-id: c-1\r\nx-penstock-request-id: r-1\r\n\r\n"
    )
    return head.encode() + raw


class Connection(asyncio.Protocol):
    """Keeps what arrives, segment by segment, and how the connection ended."""

    def __init__(self) -> None:
        self.segments: list[bytes] = []
        self.times_s: list[float] = []
        self.more = asyncio.Event()
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.segments.append(data)
        self.more.set()
        self.times_s.append(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.set_result(error)

    @property
    def received(self) -> bytes:
        return b"".join(self.segments)

    async def until(self, reached: Callable[["Connection"], bool]) -> None:
        """Returns when what arrived is enough, at the latest after 20 s."""
        async with asyncio.timeout(20):
            while not reached(self):
                self.more = asyncio.Event()
                await self.more.wait()


def whole_stream(connection: Connection) -> bool:
    return connection.received.endswith(b"0\r\n\r\n")


class Wire:
    """Connections to the simulator, all closed when the test ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.transports: list[asyncio.Transport] = []

    async def send(self, raw: bytes) -> tuple[asyncio.Transport, Connection]:
        """The request on a connection of its own."""
        transport, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", self._port)
        self.transports.append(transport)
        transport.write(raw)
        return transport, connection


@pytest.fixture
async def wire(simulator: Running) -> AsyncIterator[Wire]:
    found = Wire(simulator.port)
    yield found
    for transport in found.transports:
        transport.abort()
    await asyncio.sleep(0)


async def logged(call_log: Path, *, calls: int = 1, finished: bool = True) -> list[Call]:
    """The calls of the log once so many have finished, or have arrived and not finished."""
    for _ in range(1000):
        found = [call for call in read(call_log) if call.finished is finished]
        if len(found) >= calls:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(found)} of {calls} calls are in the log")


async def test_a_whole_reply_is_one_segment_and_is_logged_as_complete(wire: Wire, call_log: Path) -> None:
    transport, connection = await wire.send(request(BODY))
    (call,) = await logged(call_log)
    transport.close()
    (segment,) = connection.segments
    head, _, body = segment.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["usage"]["total_tokens"] == 140
    assert (call.call_id, call.request_id, call.provider, call.model) == ("c-1", "r-1", "openai", "m")
    assert (call.input_tokens, call.output_tokens, call.bytes_out) == (100, 40, len(body))
    assert (call.completed, call.status, call.fault) == (True, 200, None)
    assert abs(call.t_in - time.time()) < 10


@pytest.mark.parametrize("fault", [None, "http_429", "reset_mid_body", "html_200"])
async def test_no_byte_of_a_reply_goes_out_before_its_line_is_synced(
    wire: Wire, call_log: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    disk = threading.Event()
    synced: list[bytes] = []

    def slow_fsync(_fd: int) -> None:
        disk.wait(5)
        synced.append(call_log.read_bytes())

    monkeypatch.setattr("streams.simulator.call_log_writer.os.fsync", slow_fsync)
    transport, connection = await wire.send(request(BODY, fault=fault))
    await asyncio.sleep(0.2)
    assert connection.received == b""
    disk.set()
    await connection.until(lambda c: bool(c.segments))
    assert b'"arrived"' in synced[0]
    transport.close()


async def test_a_bad_request_is_a_call_that_bills_nothing(http: aiohttp.ClientSession, call_log: Path) -> None:
    async with http.post("/v1/chat/completions", data=b"{") as reply:
        assert reply.status == 400
    (call,) = await logged(call_log)
    assert (call.status, call.model, call.input_tokens, call.completed) == (400, None, 0, True)


async def test_calls_without_our_headers_are_logged_with_null(http: aiohttp.ClientSession, call_log: Path) -> None:
    async with http.post("/v1/chat/completions", json=BODY) as reply:
        await reply.read()
    (call,) = await logged(call_log)
    assert (call.call_id, call.request_id) == (None, None)


@pytest.mark.parametrize("stream", [True, False])
async def test_reset_mid_body(wire: Wire, call_log: Path, stream: bool) -> None:
    _, connection = await wire.send(request({**BODY, "stream": stream}, fault="reset_mid_body"))
    assert isinstance(await asyncio.wait_for(connection.ended, 5), ConnectionResetError)
    assert b"chat.completion" in connection.received
    (call,) = await logged(call_log)
    assert (call.completed, call.status, call.fault, call.input_tokens) == (False, 200, "reset_mid_body", 100)
    assert 0 < call.output_tokens < 40 if stream else call.output_tokens == 40


async def test_reset_before_reply_sends_nothing_and_bills_nothing(wire: Wire, call_log: Path) -> None:
    _, connection = await wire.send(request(BODY, fault="reset_before_reply"))
    assert isinstance(await asyncio.wait_for(connection.ended, 5), ConnectionResetError)
    assert connection.received == b""
    (call,) = await logged(call_log)
    assert (call.completed, call.status, call.bytes_out, call.input_tokens, call.output_tokens) == (False, None, 0, 0, 0)


async def test_eof_mid_body_closes_in_good_order(wire: Wire, call_log: Path) -> None:
    _, connection = await wire.send(request(BODY, fault="eof_mid_body"))
    assert await asyncio.wait_for(connection.ended, 5) is None
    head, _, body = connection.received.partition(b"\r\n\r\n")
    declared = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == declared // 2
    (call,) = await logged(call_log)
    assert (call.completed, call.bytes_out) == (False, len(body))


async def test_hang_is_billed_and_ends_when_the_client_leaves(wire: Wire, call_log: Path) -> None:
    transport, connection = await wire.send(request(BODY, fault="hang"))
    await logged(call_log, finished=False)
    await asyncio.sleep(0.1)
    assert connection.received == b""
    assert [call.finished for call in read(call_log)] == [False]
    transport.close()
    (call,) = await logged(call_log)
    assert (call.completed, call.status, call.input_tokens, call.output_tokens) == (False, None, 100, 40)


async def test_slow_body_drips(wire: Wire, call_log: Path) -> None:
    transport, connection = await wire.send(request(BODY, fault="slow_body:20"))
    await connection.until(lambda c: len(c.received.partition(b"\r\n\r\n")[2]) >= 16)
    assert connection.times_s[-1] - connection.times_s[0] > 0.5
    assert len(connection.segments) > 5
    transport.close()
    (call,) = await logged(call_log)
    assert not call.completed


async def test_split_utf8_arrives_in_pieces(wire: Wire) -> None:
    asked = {**BODY, "stream": True, "messages": [{"role": "user", "content": "[[sim out=80]]"}]}
    transport, connection = await wire.send(request(asked, fault="split_utf8"))
    await connection.until(whole_stream)
    transport.close()

    def ends_inside_a_character(segment: bytes) -> bool:
        return segment.removesuffix(b"\r\n")[-1:] >= b"\xc0"

    assert any(ends_inside_a_character(segment) for segment in connection.segments)


async def test_a_streams_tokens_take_their_time(wire: Wire, http: aiohttp.ClientSession) -> None:
    profile = {"first_token_ms": 100, "per_token_ms": 5, "tokens_per_event": 10}
    async with http.put("/_sim/profiles/openai", json=profile) as reply:
        assert reply.status == 200
    start_s = time.perf_counter()
    transport, connection = await wire.send(request({**BODY, "stream": True}))
    await connection.until(whole_stream)
    transport.close()
    assert connection.times_s[0] - start_s >= 0.099
    assert connection.times_s[-1] - start_s >= 0.299
    assert len(connection.segments) >= 4


async def test_a_client_that_leaves_a_stream_pays_for_what_was_generated(
    wire: Wire, http: aiohttp.ClientSession, call_log: Path
) -> None:
    async with http.put("/_sim/profiles/openai", json={"per_token_ms": 10, "tokens_per_event": 1}):
        pass
    transport, connection = await wire.send(request({**BODY, "stream": True}))
    await connection.until(lambda c: len(c.segments) >= 5)
    transport.abort()
    (call,) = await logged(call_log)
    assert (call.completed, call.status, call.input_tokens) == (False, 200, 100)
    assert 3 <= call.output_tokens < 40


async def test_a_large_reply_that_is_not_read_is_not_complete(wire: Wire, call_log: Path) -> None:
    asked = {**BODY, "messages": [{"role": "user", "content": "[[sim out=5000000]]"}]}
    transport, connection = await wire.send(request(asked))
    transport.pause_reading()
    await logged(call_log, finished=False)
    await asyncio.sleep(0.3)
    assert [call.finished for call in read(call_log)] == [False]
    transport.abort()
    (call,) = await logged(call_log)
    assert not call.completed
    assert call.output_tokens == 5_000_000
    transport, connection = await wire.send(request(asked))
    await connection.until(lambda c: sum(map(len, c.segments)) > 20_000_000)
    (_, whole) = await logged(call_log, calls=2)
    transport.close()
    assert whole.completed
    assert whole.bytes_out > 20_000_000


async def test_closing_right_after_the_last_byte_is_still_complete(simulator: Running, call_log: Path) -> None:
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.write(request({**BODY, "stream": True}))
        await reader.readuntil(b"[DONE]")
        writer.close()
        await writer.wait_closed()
    assert [call.completed for call in await logged(call_log, calls=50)] == [True] * 50


async def test_what_is_not_a_call_is_not_logged(http: aiohttp.ClientSession, call_log: Path) -> None:
    for path in ("/v1/models", "/_sim/stats", "/_sim/profiles"):
        async with http.get(path) as reply:
            assert reply.status == 200
    async with http.post("/v1/images/generations", json={}) as reply:
        assert reply.status == 404
    assert list(read(call_log)) == []


async def test_a_refused_request_body_is_too_large(http: aiohttp.ClientSession, call_log: Path) -> None:
    async with http.post("/v1/chat/completions", data=io.BytesIO(b"x" * (65 * 1024 * 1024))) as reply:
        assert reply.status == 413
    assert list(read(call_log)) == []


async def test_twenty_megabytes_are_taken(http: aiohttp.ClientSession) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 20_000_000}]}
    async with http.post("/v1/chat/completions", data=io.BytesIO(json.dumps(body).encode())) as reply:
        assert (await reply.json())["usage"]["prompt_tokens"] == 5_000_003
