"""`penstock top` before a small edge of its own: what is shown, chosen and said when the connection goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import orjson
import pytest
from aiohttp import web
from textual.widgets import DataTable, Static

from streams.cli.exits import ExitCode
from streams.cli.top_app import TopApp
from streams.cli.top_feed import Feed
from streams.cli.top_running import run
from tests.unit.cli.live_told import request, snapshot

KEY = "pk-test"


@dataclass(slots=True)
class SmallEdge:
    """Tells a snapshot, then what a test says. `url` is where it listens."""

    url: str = ""
    snapshot: dict = field(default_factory=snapshot)
    connections: list[asyncio.Queue[tuple[str, dict] | None]] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    def tell(self, name: str, data: dict) -> None:
        self.connections[-1].put_nowait((name, data))

    def drop(self) -> None:
        self.connections[-1].put_nowait(None)

    async def live(self, http: web.Request) -> web.StreamResponse:
        if http.headers.get("authorization") != f"Bearer {KEY}":
            return web.json_response({"detail": "there is no such key"}, status=401, content_type="application/problem+json")
        answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await answer.prepare(http)
        events: asyncio.Queue[tuple[str, dict] | None] = asyncio.Queue()
        events.put_nowait(("snapshot", self.snapshot))
        self.connections.append(events)
        while (event := await events.get()) is not None:
            await answer.write(b"event: %s\ndata: %s\n\n" % (event[0].encode(), orjson.dumps(event[1])))
        http.transport.abort()
        return answer

    async def request(self, http: web.Request) -> web.Response:
        request_id = http.match_info["request_id"]
        self.asked_for.append(request_id)
        if request_id == "req-1":
            return web.json_response({"detail": "there is no request"}, status=404)
        return web.json_response({"request_id": request_id, "status": "ok", "explanation": [f"request {request_id}", "  routed"]})


@pytest.fixture
async def edge() -> AsyncIterator[SmallEdge]:
    made = SmallEdge()
    app = web.Application()
    app.add_routes([web.get("/v1/live", made.live), web.get("/v1/requests/{request_id}", made.request)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


async def until(pilot, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await pilot.pause(0.02)


def shown(app: TopApp, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).visual)


def table(app: TopApp, name: str = "requests") -> DataTable:
    return app.query_one(f"#{name}", DataTable)


def ids(app: TopApp) -> list[str]:
    return [str(key.value) for key in table(app).rows]


@pytest.mark.parametrize("size", [(160, 48), (80, 24)], ids=["wide", "narrow"])
async def test_it_shows_what_is_told_and_ends_with_q(edge: SmallEdge, size: tuple[int, int]) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            assert "all tenants" in app.state
            assert ids(app) == ["2", "1", "0"], "the newest at the top"
            edge.tell("update", {"at": "2026-01-05T10:00:01Z", "requests": [request(3)]})
            await until(pilot, lambda: ids(app) == ["3", "2", "1", "0"])
            assert table(app).cursor_row == 0, "the cursor at the top follows"
            await pilot.press("q")
        assert app.return_code == 0


async def test_the_chosen_requests_lineage(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            await pilot.press("enter")
            await until(pilot, lambda: edge.asked_for == ["req-2"])
            await until(pilot, lambda: "routed" in app.query_one("#lineage-text", Static).content.plain)
            assert app.query_one("#lineage").display
            await pilot.press("down", "enter")
            await until(pilot, lambda: "not for this key" in app.query_one("#lineage-text", Static).content.plain)
            await pilot.press("escape")
            assert not app.query_one("#lineage").display


async def test_the_cursor_stays_on_its_row_and_p_stops_the_list(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            await pilot.press("down")
            edge.tell("update", {"requests": [request(3)]})
            await until(pilot, lambda: table(app).row_count == 4)
            assert table(app).cursor_row == 2, "the same row, one further down"
            await pilot.press("p")
            edge.tell("update", {"requests": [request(4)], "at": "2026-01-05T11:11:11Z"})
            await until(pilot, lambda: "11:11:11" in app.state)
            assert "paused" in app.state
            assert table(app).row_count == 4
            await pilot.press("p")
            await until(pilot, lambda: table(app).row_count == 5)


async def test_keys_change_what_is_shown(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            await pilot.press("d")
            assert table(app, "letters").display
            assert not table(app).display
            assert table(app, "letters").row_count == 1
            await pilot.press("d", "s")
            assert table(app).display
            assert app.by == "tenant"
            await pilot.press("s", "s")
            assert app.by == "model"


async def test_a_lost_connection_is_seen_and_had_again(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            edge.snapshot = snapshot(requests=[request(8)], tenant="acme")
            states: list[str] = []
            edge.drop()
            await until(pilot, lambda: states.append(app.state) or "connection lost" in app.state)
            assert app.query_one("#state", Static).has_class("lost")
            assert "again in" in app.state
            await until(pilot, lambda: ids(app) == ["8"])
            assert "tenant acme" in app.state
            assert not app.query_one("#state", Static).has_class("lost")
            assert len(edge.connections) == 2


async def test_a_key_that_is_revoked_is_told(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test() as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            edge.tell("error", {"title": "unauthorized", "detail": "the key was revoked"})
            await until(pilot, lambda: "the key was revoked" in app.state)


async def test_what_cannot_be_shown_does_not_end_it(edge: SmallEdge) -> None:
    async with Feed(edge.url, KEY) as feed:
        app = TopApp(feed)
        async with app.run_test() as pilot:
            await until(pilot, lambda: table(app).row_count == 3)
            edge.tell("update", {"requests": [{"strange": True}]})
            await until(pilot, lambda: "another version" in app.state)
            edge.tell("update", {"requests": [request(3)], "at": "2026-01-05T12:00:00Z"})
            await until(pilot, lambda: table(app).row_count == 4)


async def test_once_prints_one_frame(edge: SmallEdge, capfd: pytest.CaptureFixture[str]) -> None:
    assert await run(edge.url, KEY, None, None, once=True, as_json=False) is ExitCode.OK
    found = capfd.readouterr().out
    assert "11.7 requests/s" in found
    assert "Dead letters" in found
    assert "\x1b" not in found
    assert await run(edge.url, KEY, None, None, once=True, as_json=True) is ExitCode.OK
    assert orjson.loads(capfd.readouterr().out) == edge.snapshot
