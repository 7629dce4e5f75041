"""The rendered documents in a real Chromium: nobody is kept from reading them, by light or dark, at a desk or on a telephone."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.edge import chromium
from tests.integration.edge.chromium import Tab
from tests.integration.edge.conftest import Edge
from tests.integration.edge.test_page import axe, violations  # noqa: F401 - `axe` is a fixture

pytestmark = [
    pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium here: `apt-get install chromium`"),
    pytest.mark.timeout(400),
]
PAGES = ("/docs", "/docs/topics")
ALL_OPEN = "document.querySelectorAll('details').forEach(each => { each.open = true })"
SIDEWAYS = """[...document.querySelectorAll('main, .wide')].filter(each => each.scrollWidth > each.clientWidth)
    .map(each => each.getAttribute('aria-label') || each.id)"""


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with chromium.tab(tmp_path / "profile") as opened:
        yield opened


async def test_they_fit_a_telephone(tab: Tab, edge: Edge) -> None:
    for path in PAGES:
        await tab.open(f"{edge.url}{path}", width=360, height=740)
        await tab.evaluate(ALL_OPEN)
        assert await tab.evaluate("document.querySelectorAll('td').length") > 50
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
        assert await tab.evaluate(SIDEWAYS) == [], "neither the page nor a table is moved sideways to be read"
    assert tab.errors == []
    assert [url for url in tab.asked if not url.startswith(edge.url)] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
async def test_axe_finds_nothing(tab: Tab, edge: Edge, axe: str, path: str) -> None:  # noqa: F811
    for width, dark in itertools.product((360, 1280), (False, True)):
        await tab.open(f"{edge.url}{path}", width=width, dark=dark)
        await tab.evaluate(f"{axe}; 0")
        assert await violations(tab) == [], (width, dark)
        await tab.evaluate(ALL_OPEN)
        assert await violations(tab) == [], (width, dark)
