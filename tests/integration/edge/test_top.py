"""`penstock top` against a running stack: one frame as text, and the screen with a request's lineage."""

import asyncio
import uuid
from collections.abc import Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from streams.cli.top_app import TopApp
from streams.cli.top_feed import Feed
from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]


def test_one_frame_of_the_stack_on_the_data_directory(edge: Edge) -> None:
    tenant = f"top-{uuid.uuid4().hex[:8]}"
    asked = edge.penstock("ask", "What does it cost?", "--tenant", tenant, "--json").json
    shown = edge.penstock("top", "--once", "--key", edge.key(tenant, "read"))
    assert shown.code == 0, shown.err
    assert f"tenant {tenant}" in shown.out
    assert asked["deployment"] in shown.out
    whole = edge.penstock("top", "--json", "--key", edge.key("boss", "admin")).json
    assert whole["tenant"] is None
    assert asked["request_id"] in {entry["request_id"] for entry in whole["requests"]}
    alone = edge.penstock("top", "--json", "--key", edge.key("boss", "admin"), "--tenant", tenant).json
    assert [entry["request_id"] for entry in alone["requests"]] == [asked["request_id"]]


def test_who_may_not_look_is_told_what_to_do(edge: Edge) -> None:
    without = edge.penstock("top", "--once")
    assert without.code == 2
    assert "--key" in without.err
    publisher = edge.penstock("top", "--once", "--key", edge.key("acme", "publish"))
    assert publisher.code == 2
    assert "role read" in publisher.err


async def test_the_screen_shows_a_request_as_it_is_answered(edge: Edge) -> None:
    tenant = f"top-{uuid.uuid4().hex[:8]}"
    key = await asyncio.to_thread(edge.key, tenant)

    async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await pilot.pause(0.05)

    async with Feed(edge.url, key) as feed:
        app = TopApp(feed)
        async with app.run_test(size=(160, 48)) as pilot:
            await until(pilot, lambda: f"tenant {tenant}" in app.state)
            with edge.client(tenant) as client:
                body = {"messages": [{"role": "user", "content": f"{uuid.uuid4()}"}]}
                asked = await asyncio.to_thread(client.post, "/v1/requests", json=body, headers={"prefer": "wait=30"})
            assert asked.status_code == 200, asked.text
            await until(pilot, lambda: app.query_one("#requests", DataTable).row_count == 1)
            await pilot.press("enter")
            lineage = app.query_one("#lineage-text", Static)
            request_id = asked.json()["request_id"]
            await until(pilot, lambda: "classified" in str(lineage.content))
            assert request_id in str(lineage.content)
