"""The WebSocket's messages, keys and bounds, over a feed that is fed by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from schemas.calls import CallPhase
from schemas.health import HealthEvent, HealthOutcome
from schemas.requests import InferenceRequest
from streams import topics
from streams.edge import websocket, websocket_feed
from streams.edge.websocket import Sockets
from streams.edge.websocket_feed import Feed, Listener
from tests.fakes.hand_made_log import cost, report
from tests.unit.edge.native_log import Line, MemoryLog, Process, chunk, final

REQUEST = InferenceRequest("req-1", "acme", "auto")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


class HandFed(Feed):
    """A feed that follows nothing; what is `told` is told to a listener as it comes."""

    def __init__(self, process: Process, *records: tuple[str, object]) -> None:
        super().__init__(process.runtime)
        self._records = records

    @contextlib.asynccontextmanager
    async def listening(self, listener: Listener) -> AsyncIterator[None]:
        self._listeners.add(listener)
        asyncio.get_running_loop().call_later(0.01, self._feed_all)
        yield

    def _feed_all(self) -> None:
        for topic, record in self._records:
            self.feed(topic, record)

    def feed(self, topic: str, record: object) -> None:
        self._apply(Line(topic, 0, 0, 0, b"", self._runtime.serde.encode(record)))


RECORDS = (
    (topics.ATTEMPTS, report("req-1", "call-1", CallPhase.STARTED)),
    (topics.ATTEMPTS, report("req-1", "call-1", CallPhase.COMPLETED)),
    (topics.CHUNKS, chunk(REQUEST, 0, "The Rhine.")),
    (topics.RESPONSES, final(REQUEST)),
    (topics.RESPONSES, final(REQUEST, final=False)),
    (topics.COSTS, cost("req-1", "call-1", None)),
    (topics.COSTS, cost("req-2", "call-2", None, tenant="globex")),
    (topics.COSTS, cost("req-acme", "call-3", None, tenant="globex")),
    (topics.COSTS, cost("req-3", "call-3", None)),
)


def client(*records: tuple[str, object]) -> TestClient:
    process = Process(MemoryLog())
    return TestClient(Starlette(routes=Sockets(process.door, HandFed(process, *records)).routes()))


def told(path: str, count: int, tenant: str = "acme") -> list[dict]:
    with client(*RECORDS).websocket_connect(path, headers={"authorization": f"Bearer {tenant}"}) as socket:
        return [socket.receive_json() for _ in range(count)]


def test_everything_of_the_tenant_and_nothing_else() -> None:
    messages = told("/ws", 6)
    assert [(message["type"], message.get("request_id")) for message in messages] == [
        ("ready", None),
        ("task_started", "req-1"),
        ("chunk", "req-1"),
        ("task_completed", "req-1"),
        ("cost", "req-1"),
        ("cost", "req-3"),
    ]


def test_one_request_alone() -> None:
    process = Process(MemoryLog())
    feed, listener = HandFed(process), Listener("acme", "req-3")
    feed._listeners.add(listener)
    for topic, record in RECORDS:
        feed.feed(topic, record)
    assert listener.messages.qsize() == 1


def test_the_key_may_be_the_first_message() -> None:
    with client().websocket_connect("/ws") as socket:
        socket.send_json({"key": "acme"})
        assert socket.receive_json() == {"type": "ready"}


@pytest.mark.parametrize("said", ["{}", "[]", "no JSON", '{"key": 7}'])
def test_without_a_key_it_is_closed(said: str) -> None:
    with client().websocket_connect("/ws") as socket:
        socket.send_text(said)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1008


def test_a_key_that_is_revoked_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_LOOK_EVERY_S", 0.01)
    process = Process(MemoryLog())
    app = TestClient(Starlette(routes=Sockets(process.door, HandFed(process)).routes()))
    with app.websocket_connect("/ws", headers={"authorization": "Bearer acme"}) as socket:
        assert socket.receive_json() == {"type": "ready"}
        monkeypatch.setattr(type(process.door.authority), "principal", lambda self, credential: None)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1008


def test_a_client_that_reads_too_slowly_is_closed_with_1013() -> None:
    many = tuple((topics.COSTS, cost("req-1", f"call-{i}", None)) for i in range(websocket_feed.QUEUED + 1))
    with client(*many).websocket_connect("/ws", headers={"authorization": "Bearer acme"}) as socket:  # noqa: SIM117
        with pytest.raises(WebSocketDisconnect) as closed:
            for _ in range(websocket_feed.QUEUED + 2):
                socket.receive_json()
    assert closed.value.code == 1013


def test_health_is_told_when_it_changes_and_names_nobodys_call() -> None:
    process = Process(MemoryLog())
    feed, listener = HandFed(process), Listener("acme")
    feed._listeners.add(listener)
    well = HealthEvent("openai/m", "openai", "m", "w", HealthOutcome.SUCCESS, 1, NOW, call_id="secret")
    ill = HealthEvent("openai/m", "openai", "m", "w", HealthOutcome.FAILURE, 1, NOW, failure_kind="overloaded")
    for event in (well, well, ill, ill, well):
        feed.feed(topics.HEALTH, event)
    messages = [listener.messages.get_nowait() for _ in range(listener.messages.qsize())]
    assert len(messages) == 3
    assert "secret" not in "".join(messages)
    assert '"failure_kind":"overloaded"' in messages[1]


def test_what_cannot_be_read_is_passed_over() -> None:
    feed, listener = HandFed(Process(MemoryLog())), Listener("acme")
    feed._listeners.add(listener)
    feed._apply(Line(topics.COSTS, 0, 0, 0, b"acme", b"acme"))
    assert listener.messages.empty()


def test_listeners_can_be_told_apart() -> None:
    assert len({Listener("acme"), Listener("acme")}) == 2


@pytest.mark.parametrize(("origin", "code"), [("http://testserver", None), ("http://elsewhere.example", 1008), ("null", 1008)])
def test_without_keys_only_our_own_pages_connect(origin: str, code: int | None) -> None:
    process = Process(MemoryLog())
    process.runtime.settings.edge_insecure_local = True
    app = TestClient(Starlette(routes=Sockets(process.door, HandFed(process)).routes()))
    headers = {"authorization": "Bearer acme", "origin": origin}
    with app.websocket_connect("/ws", headers=headers) as socket:
        if code is None:
            assert socket.receive_json() == {"type": "ready"}
            return
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == code
