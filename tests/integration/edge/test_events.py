"""A request's events on a running stack: they are whole, resume at any process, and end with usage and cost."""

import asyncio
import json
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp
import httpx
import psutil
import pytest

from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@dataclass(slots=True)
class Heard:
    """What a reader has read."""

    events: list[tuple[str, str, dict]] = field(default_factory=list)
    _lines: Iterator[str] | None = None

    def read(self, answer: httpx.Response, *, until: int | None = None) -> None:
        """Go on to the end of the stream, or until so many events were read."""
        self._lines = self._lines or answer.iter_lines()
        name = event_id = ""
        for line in self._lines:
            kind, _, rest = line.partition(": ")
            if kind == "event":
                name, event_id = rest, ""
            elif kind == "id":
                event_id = rest
            elif kind == "data":
                self.events.append((name, event_id, json.loads(rest)))
                if until is not None and len(self.events) >= until:
                    return

    @property
    def last_id(self) -> str:
        return self.events[-1][1]

    def text(self) -> str:
        """The text as a reader has it who forgets what is void."""
        said: dict[str, str] = {}
        for name, _, data in self.events:
            if name == "chunk":
                said[data["call_id"]] = said.get(data["call_id"], "") + data.get("content", "")
            elif name == "void":
                said.pop(data["call_id"], None)
        assert len(said) <= 1, said.keys()
        return next(iter(said.values()), "")

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.events]


def hear(client: httpx.Client, location: str, *, last_id: str | None = None, until: int | None = None) -> Heard:
    """Read to the end, or until so many events were read."""
    heard = Heard()
    headers = {} if last_id is None else {"last-event-id": last_id}
    with client.stream("GET", f"{location}/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        heard.read(answer, until=until)
    return heard


@contextmanager
def simulated(edge: Edge, provider: str, profile: dict) -> Iterator[None]:
    stack = json.loads((edge.data_dir / "stack.json").read_text())
    address = f"{stack['simulator_url']}/_sim/profiles/{provider}"
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, json.dumps(profile).encode(), headers, method="PUT")).close()
    try:
        yield
    finally:
        urllib.request.urlopen(urllib.request.Request(address, method="DELETE")).close()


def publish(client: httpx.Client, *, out: int = 60, **more: object) -> str:
    messages = [{"role": "user", "content": f"[[sim in=10 out={out}]] {uuid.uuid4()}"}]
    accepted = client.post("/v1/requests", json={"messages": messages, "stream": True, **more})
    assert accepted.status_code == 202, accepted.text
    return accepted.headers["location"]


def test_chunks_come_in_order_and_the_end_has_everything(edge: Edge) -> None:
    with edge.client("acme") as client:
        location = publish(client)
        heard = hear(client, location)
        again = hear(client, location)
        assert client.get(f"{location}/events", headers={"last-event-id": "end"}).status_code == 204
    assert heard.names[-1] == "completed"
    final = heard.events[-1][2]
    assert final["status"] == "ok"
    assert final["usage"]["output_tokens"] > 0
    assert final["cost_nanousd"] > 0
    chunks = [data for name, _, data in heard.events if name == "chunk"]
    assert [chunk["seq"] for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) > 1
    assert chunks[-1]["last"]
    assert heard.text() == final["output"]["content"]
    assert again.events == heard.events, "a second reader gets everything, from the beginning"


def test_a_reader_goes_on_after_any_event(edge: Edge) -> None:
    with edge.client("acme") as client:
        location = publish(client)
        whole = hear(client, location)
        for read in (1, 2, len(whole.events) - 1):
            rest = hear(client, location, last_id=whole.events[read - 1][1])
            assert rest.events == whole.events[read:]
        bad = client.get(f"{location}/events", headers={"last-event-id": "nonsense"})
        assert bad.status_code == 400


def test_a_request_that_is_not_streamed_has_an_end_too(edge: Edge) -> None:
    with edge.client("acme") as client:
        heard = hear(client, publish(client, stream=False))
    assert heard.names == ["completed"]
    assert heard.events[0][2]["output"]["content"]


def serving(edge: Edge, port: int) -> psutil.Process:
    """The process of the edge at the other end of a client's port."""
    for pid in edge.pids():
        process = psutil.Process(pid)
        if any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp")):
            return process
    raise AssertionError(f"no process of the edge serves port {port}")


def test_a_killed_process_is_left_for_another(edge: Edge) -> None:
    """Kill -9 in the middle of a stream: the reader comes again with its last event's id, to another process, and has it all."""
    slow = {"first_token_ms": 10, "per_token_ms": 30, "tokens_per_event": 1}
    with simulated(edge, "openai", slow), simulated(edge, "anthropic", slow), edge.client("acme") as client:
        location = publish(client, out=150)
        heard = Heard()
        with pytest.raises(httpx.TransportError), client.stream("GET", f"{location}/events") as answer:
            killed = serving(edge, answer.extensions["network_stream"].get_extra_info("client_addr")[1])
            heard.read(answer, until=3)
            killed.kill()
            heard.read(answer)
        psutil.wait_procs([killed], timeout=60)  # while its sockets are being closed a new connection may still be given to it
        rest = hear(client, location, last_id=heard.last_id)
        assert killed.pid not in edge.pids() or not killed.is_running()
    together = Heard([*heard.events, *rest.events])
    assert len(heard.events) >= 3
    assert "completed" not in heard.names
    assert together.names[-1] == "completed"
    assert "void" not in together.names
    assert together.text() == together.events[-1][2]["output"]["content"]
    seqs = [data["seq"] for name, _, data in together.events if name == "chunk"]
    assert seqs == list(range(len(seqs))), "no chunk twice, none missing"


def test_a_killed_worker_voids_what_it_sent(edge: Edge) -> None:
    slow = {"first_token_ms": 10, "per_token_ms": 40, "tokens_per_event": 1}
    with simulated(edge, "openai", slow), simulated(edge, "anthropic", slow), edge.client("acme", timeout=90) as client:
        location = publish(client, out=100)
        heard = hear(client, location, until=3)
        parts = json.loads((edge.data_dir / "stack.json").read_text())["parts"]
        workers = [part["pid"] for name, part in parts.items() if name.startswith("calls")]
        assert workers
        for pid in workers:
            psutil.Process(pid).kill()
        heard.events += hear(client, location, last_id=heard.last_id).events
        cost = client.get(location).json()["cost"]
    assert heard.names[-1] == "completed"
    final = heard.events[-1][2]
    assert final["status"] == "ok"
    assert heard.names.count("void") >= 1
    assert heard.text() == final["output"]["content"]
    chunks = [data for name, _, data in heard.events if name == "chunk"]
    assert len({chunk["call_id"] for chunk in chunks}) >= 2
    assert cost["calls"] >= 1


def test_the_end_says_why_a_request_has_no_answer(edge: Edge) -> None:
    with edge.client("acme") as client:
        location = publish(client, model="no-such-model")
        heard = hear(client, location)
    assert heard.names == ["completed"]
    final = heard.events[0][2]
    assert final["status"] == "error"
    assert final["error"]["kind"]
    assert {"usage", "cost_nanousd"} <= final.keys()


async def test_a_websocket_tells_what_its_tenants_requests_do(edge: Edge) -> None:
    keys = {tenant: edge.key(tenant) for tenant in ("acme", "nosy")}
    told: dict[str, list[dict]] = {"acme": [], "nosy": []}

    async def listen(session: aiohttp.ClientSession, tenant: str, ready: asyncio.Event) -> None:
        async with session.ws_connect(f"{edge.url}/ws") as socket:
            await socket.send_json({"key": keys[tenant]})
            async for message in socket:
                data = message.json()
                told[tenant].append(data)
                if data["type"] == "ready":
                    ready.set()

    async with aiohttp.ClientSession() as session:
        ready = {tenant: asyncio.Event() for tenant in keys}
        listening = [asyncio.create_task(listen(session, tenant, ready[tenant])) for tenant in keys]
        async with asyncio.timeout(60):
            for event in ready.values():
                await event.wait()
            with edge.client("acme") as client:
                location = await asyncio.to_thread(publish, client)
            while not {"task_completed", "cost"} <= {data["type"] for data in told["acme"]}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    request_id = location.removeprefix("/v1/requests/")
    types = [data["type"] for data in told["acme"] if data.get("request_id") == request_id]
    assert set(types) == {"task_started", "chunk", "task_completed", "cost"}
    assert {data["type"] for data in told["nosy"]} <= {"ready", "health"}
    completed = next(data for data in told["acme"] if data["type"] == "task_completed")
    assert completed["cost_nanousd"] > 0


async def test_a_websocket_without_a_key_is_closed(edge: Edge) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{edge.url}/ws", headers={"authorization": "Bearer nonsense"}) as socket:
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008
        async with session.ws_connect(f"{edge.url}/ws") as socket:
            await socket.send_str("no key")
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008
