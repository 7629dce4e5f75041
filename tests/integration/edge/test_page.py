"""The page in a real Chromium: it opens with a key, shows what happens, says when it does not, and everybody can use it."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.edge import chromium
from tests.integration.edge.chromium import Tab
from tests.integration.edge.conftest import Edge
from tests.integration.edge.test_live import ask

pytestmark = [
    pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium here: `apt-get install chromium`"),
    pytest.mark.timeout(400),
]
LIVE = "document.body?.dataset.state === 'live' && !document.getElementById('board').hidden"
ENTRY = "document.body?.dataset.state === 'denied' && !document.getElementById('entry').hidden"


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with chromium.tab(tmp_path / "profile") as opened:
        yield opened


async def enter(tab: Tab, key: str) -> None:
    """Write the key where the focus is, as a person does."""
    await tab.until(ENTRY)
    assert await tab.evaluate("document.activeElement.id") == "key"
    await tab.write(key)
    await tab.press("Enter")


async def open_live(tab: Tab, edge: Edge, *roles: str, **look: Any) -> None:
    await tab.open(edge.url, **look)
    await enter(tab, edge.key(*roles))
    await tab.until(LIVE)


def row(request_id: str) -> str:
    """The button of a request in the feed."""
    return f"document.querySelector('#requests [title=\"{request_id}\"] button')"


async def test_a_key_opens_it_and_a_request_shows_with_its_lineage(tab: Tab, edge: Edge) -> None:
    await tab.open(edge.url)
    await enter(tab, "pk-wrong")
    assert "no valid key" in (await tab.until("document.getElementById('entry-error').textContent")).lower()
    await enter(tab, edge.key("acme"))
    await tab.until(LIVE)
    request_id = await asyncio.to_thread(ask, edge, "acme")
    await tab.until(row(request_id))
    assert await tab.evaluate("document.getElementById('tenant-name').textContent") == "acme"
    assert await tab.evaluate("document.getElementById('lag-panel').hidden")
    await tab.evaluate(f"{row(request_id)}.focus()")
    await tab.press("Enter")
    steps = await tab.until("[...document.querySelectorAll('#lineage .steps h3')].map(h => h.textContent).join() || null")
    assert steps.split(",") == ["Asked", "Classified", "Cache", "Routed", "Call 1", "Answered"]
    assert await tab.evaluate("document.querySelectorAll('#lineage .steps table tbody tr').length") >= 1
    await tab.press("Escape")
    assert not await tab.evaluate("document.getElementById('lineage').open")
    assert await tab.evaluate(f"document.activeElement === {row(request_id)}"), "focus goes back to where it was"
    await tab.call("Page.reload")
    await tab.until(LIVE)
    assert await tab.evaluate("localStorage.length") == 0
    assert [url for url in tab.asked if not url.startswith(edge.url)] == []
    assert [error for error in tab.errors if "401" not in error] == []


@pytest.mark.slow
async def test_it_says_when_the_connection_is_lost_and_comes_back(tab: Tab, edge: Edge) -> None:
    await open_live(tab, edge, "ops", "admin")
    await tab.until("document.querySelectorAll('#lag tbody tr').length > 2")
    before = edge.pids()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    told = await tab.until("document.body.dataset.state === 'lost' && document.getElementById('lost-text').textContent")
    assert "Trying again in" in told
    assert not await tab.evaluate("document.getElementById('lost').hidden")
    assert "Connection lost" in await tab.evaluate("document.getElementById('announcer').textContent")
    await tab.until(LIVE)
    assert await tab.evaluate("document.getElementById('lost').hidden")
    assert not set(edge.pids()) & set(before)


async def test_an_admin_chooses_a_tenant(tab: Tab, edge: Edge) -> None:
    mine, theirs = [await asyncio.to_thread(ask, edge, tenant) for tenant in ("acme", "globex")]
    await open_live(tab, edge, "ops", "admin")
    await tab.until(f"{row(mine)} && {row(theirs)}")
    await tab.until("[...document.getElementById('tenant').options].some(o => o.value === 'globex')")
    await tab.evaluate(
        "(s => { s.value = 'globex'; s.dispatchEvent(new Event('change', {bubbles: true})) })(document.getElementById('tenant'))"
    )
    await tab.until(f"!{row(mine)} && {row(theirs)}")
    await tab.evaluate(f"{row(theirs)}.click()")
    told = await tab.until("document.querySelector('#lineage .error')?.textContent")
    assert "globex" in told, "a request of another tenant is not this key's to open, and the page says so"


async def test_it_fits_a_telephone(tab: Tab, edge: Edge) -> None:
    request_id = await asyncio.to_thread(ask, edge, "acme")
    await open_live(tab, edge, "acme", width=360, height=740)
    await tab.until(row(request_id))
    assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
    await tab.evaluate(f"{row(request_id)}.click()")
    await tab.until("document.querySelector('#lineage .steps')")
    assert await tab.evaluate("document.getElementById('lineage').scrollWidth") <= 360


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core's source, as npm has it."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not here, which brings axe-core")
    folder = tmp_path_factory.mktemp("axe")
    got = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if got.returncode != 0:
        pytest.skip("axe-core cannot be fetched here")
    return (folder / "node_modules/axe-core/axe.min.js").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_axe_finds_nothing(tab: Tab, edge: Edge, axe: str, width: int, dark: bool) -> None:
    request_id = await asyncio.to_thread(ask, edge, "acme")
    await tab.open(edge.url, width=width, dark=dark)
    await tab.until(ENTRY)
    await tab.evaluate(f"{axe}; 0")
    assert await violations(tab) == []
    await enter(tab, edge.key("acme"))
    await tab.until(LIVE)
    await tab.until(row(request_id))
    assert await violations(tab) == []
    await tab.evaluate(f"{row(request_id)}.click()")
    await tab.until("document.querySelector('#lineage .steps')")
    assert await violations(tab) == []


async def violations(tab: Tab) -> list[str]:
    found = await tab.evaluate("axe.run().then(r => JSON.stringify(r.violations))")
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in json.loads(found)]
