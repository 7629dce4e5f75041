"""Who may watch what, and what viewers are told: over a showing that follows nothing and is fed by hand."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from processors.api.refusals import Refusal
from schemas.deployments import Deployment, DeploymentCatalogue
from schemas.keys import KeyRole
from schemas.ledger import CostTotal
from streams import clock, topics
from streams.edge import live as live_module
from streams.edge import live_audience
from streams.edge.app import edge_app
from streams.edge.live import LiveView, Watching, _told, open_watching, watched
from streams.edge.live_audience import Showing
from streams.edge.live_following import Back, Following
from streams.edge.principal import Principal, Refused
from streams.runtime import Runtime
from streams.settings import Settings
from tests.unit.edge.native_log import Line, MemoryLog, Process
from tests.unit.live.records import letter, response, total

READER = Principal("acme", frozenset({KeyRole.READ}), "pk-1")
ADMIN = Principal("ops", frozenset({KeyRole.ADMIN}), "pk-2")


class Roles:
    """An authority whose keys are `tenant` or `tenant:role`."""

    def principal(self, credential: str) -> Principal | None:
        tenant, _, role = credential.partition(":")
        return Principal(tenant, frozenset({KeyRole(role or "read")}), credential) if tenant else None


class HandFed(Showing):
    """Follows nothing; `feed` folds a record as the follower would."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self._serde = runtime.serde
        for part, name in ((self._following, "following"), (self._health, "following"), (self._lags, "asking")):
            setattr(part, name, _nothing)

    def feed(self, topic: str, record: Any, key: bytes = b"k") -> None:
        line = Line(topic, 0, 0, int(clock.now().timestamp() * 1000), key, self._serde.encode(record))
        self._following._apply(line)


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


@pytest.fixture
def runtime() -> Runtime:
    log = MemoryLog()
    catalogue = DeploymentCatalogue("test", {}, (Deployment("openai/a", "openai", "a"),), {})
    return Runtime(Settings(_env_file=None), "edge", log.serde, catalogue, log, 2)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(runtime: Runtime) -> AsyncIterator[HandFed]:
    showing = HandFed(runtime)
    task = asyncio.create_task(showing.run())
    try:
        yield showing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def now_response(**changes: Any) -> Any:
    return response((clock.now() - response().answered_at).total_seconds(), **changes)


def read(message: bytes) -> tuple[str, dict[str, Any]]:
    head, _, body = message.decode().partition("\ndata: ")
    assert body.endswith("\n\n")
    return head.removeprefix("event: "), json.loads(body)


async def next_of(messages: Any) -> tuple[str, dict[str, Any]]:
    async with asyncio.timeout(5):
        return read(await anext(messages))


@pytest.mark.parametrize(
    ("principal", "wanted", "shown"),
    [(READER, None, "acme"), (READER, "acme", "acme"), (ADMIN, None, None), (ADMIN, "globex", "globex")],
)
def test_a_key_shows_its_own_tenant_and_an_admins_all(principal: Principal, wanted: str | None, shown: str | None) -> None:
    assert watched(principal, wanted) == shown


def test_another_tenant_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        watched(READER, "globex")
    assert refused.value.refusal.status == 403


@pytest.mark.parametrize(("key", "status"), [("", 401), ("acme:publish", 403)])
def test_who_may_not_read_is_told_so_in_a_problem(key: str, status: int, runtime: Runtime) -> None:
    door = replace(Process(MemoryLog()).door, authority=Roles())
    client = TestClient(edge_app(door, LiveView(door, Watching(runtime)).routes()))
    answer = client.get("/v1/live", headers={"authorization": f"Bearer {key}"} if key else {})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_snapshot_comes_first_and_then_an_update_a_second(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_audience, "EVERY_S", 0.05)
    async with running(runtime) as showing:
        messages = showing.messages("acme")
        name, snapshot = await next_of(messages)
        assert name == "snapshot"
        assert list(snapshot) == [
            "at", "tenant", "window_s", "series", "minute", "spend", "health", "lag", "requests", "dead_letters",
        ]  # fmt: skip
        assert [row["deployment"] for row in snapshot["health"]] == ["openai/a"]
        showing.feed(topics.RESPONSES, now_response(request_id="mine"))
        showing.feed(topics.RESPONSES, now_response(request_id="theirs", tenant="globex"))
        showing.feed(topics.DEAD_LETTERS, letter("acme"))
        name, update = await next_of(messages)
        assert name == "update"
        assert [entry["request_id"] for entry in update["requests"]] == ["mine"]
        assert len(update["dead_letters"]) == 1
        assert "health" not in update
        assert "requests" not in (await next_of(messages))[1]
        await messages.aclose()


async def test_all_who_watch_the_same_share_one_update(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_audience, "EVERY_S", 0.05)
    async with running(runtime) as showing:
        one, other = showing.messages(None), showing.messages(None)
        await anext(one), await anext(other)
        first, second = await asyncio.gather(anext(one), anext(other))
        assert first is second
        assert showing.viewers == 2
        await one.aclose()
        await other.aclose()
        assert showing.viewers == 0


async def test_who_reads_slowly_is_told_everything_anew(runtime: Runtime) -> None:
    async with running(runtime) as showing:
        messages = showing.messages(None)
        await next_of(messages)
        showing._tick()
        showing._tick()
        showing.feed(topics.RESPONSES, now_response(request_id="late"))
        name, snapshot = await next_of(messages)
        assert name == "snapshot"
        assert [entry["request_id"] for entry in snapshot["requests"]] == ["late"]
        await messages.aclose()


async def test_a_log_that_is_read_anew_is_told_anew(runtime: Runtime) -> None:
    async with running(runtime) as showing:
        messages = showing.messages(None)
        await next_of(messages)
        showing._following._forget()
        showing._tick()
        assert (await next_of(messages))[0] == "snapshot"
        showing._tick()
        assert (await next_of(messages))[0] == "update"
        await messages.aclose()


async def test_the_log_is_followed_while_somebody_watches(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_audience, "EVERY_S", 0.01)
    monkeypatch.setattr(live_audience, "LINGER_S", 0.1)
    showing = HandFed(runtime)
    running = asyncio.create_task(showing.run())
    messages = showing.messages("acme")
    await next_of(messages)
    await asyncio.sleep(0.3)
    assert not showing.over
    await messages.aclose()
    await asyncio.wait_for(running, 5)
    assert showing.over


async def test_a_revoked_key_ends_the_stream(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_LOOK_EVERY_S", 0.0)

    def may() -> None:
        raise Refused(Refusal(401, "invalid_api_key", "it was revoked"))

    async with running(runtime) as showing:
        told = [piece async for piece in _told(showing, "acme", may)]
    assert told[0].startswith(b":")
    assert read(told[-1]) == ("error", {"title": "invalid_api_key", "status": 401, "detail": "it was revoked"})


async def test_streams_end_when_the_process_stops(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that went on would keep the server from stopping."""
    monkeypatch.setattr(live_module, "Showing", HandFed)
    stop = asyncio.Event()
    async with open_watching(runtime, stop) as watching:
        messages = watching.showing().messages(None)
        await next_of(messages)
        stop.set()
        async with asyncio.timeout(5):
            with pytest.raises(StopAsyncIteration):
                while True:
                    await anext(messages)


async def test_there_is_a_bound_to_viewers(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "Showing", HandFed)
    monkeypatch.setattr(live_module, "MOST_VIEWERS", 1)
    async with open_watching(runtime, asyncio.Event()) as watching:
        messages = watching.showing().messages(None)
        await next_of(messages)
        with pytest.raises(Refused) as refused:
            watching.showing()
        assert refused.value.refusal.status == 503
        await messages.aclose()
        assert watching.showing()


def test_older_totals_are_decoded_once_each(runtime: Runtime) -> None:
    showing = HandFed(runtime)
    showing._live.advance(clock.now())
    following: Following = showing._following
    decoded: list[Any] = []

    class Counting:
        def decode(self, value: bytes) -> CostTotal:
            decoded.append(value)
            return runtime.serde.of(CostTotal).decode(value)

    following._totals = Counting()  # type: ignore[assignment]
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    old_ms = int(clock.now().timestamp() * 1000) - 3_600_000
    for amount in range(1, 51):
        value = runtime.serde.encode(total(amount, hour=hour, updated_at=hour))
        following._apply(Line(topics.COST_TOTALS, 0, amount, old_ms, b"k", value))
    following._settle()
    assert len(decoded) == 1
    showing.feed(topics.COST_TOTALS, total(60, hour=hour, updated_at=clock.now()))
    snapshot = showing._live.open(None).snapshot(clock.now(), showing._around(showing._live.open(None)))
    assert snapshot["spend"]["day_nanousd"] == 60


def test_what_cannot_be_read_is_left_out(runtime: Runtime) -> None:
    showing = HandFed(runtime)
    for topic in (topics.RESPONSES, topics.COST_TOTALS, topics.DEAD_LETTERS):
        showing._following._apply(Line(topic, 0, 0, int(clock.now().timestamp() * 1000), b"k", b"\x00junk"))
    assert not showing._live.open(None).requests


@pytest.mark.parametrize(
    ("found", "begin", "end", "start"),
    [(900, 0, 1_000, 950), (980, 0, 1_000, 980), (999, 0, 1_000, 990), (999, 995, 1_000, 995), (0, 0, 0, 0)],
    ids=["most", "by time", "least", "not before the beginning", "empty"],
)
def test_the_beginning_is_bounded_both_ways(found: int, begin: int, end: int, start: int) -> None:
    assert Back(60, least=10, most=50).offset(found, begin, end) == start
