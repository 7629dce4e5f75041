"""The documents as JSON and as pages: whole, in bounds of their own policy, and of nothing that is elsewhere."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute

from processors.api.openapi import UNDESCRIBED
from processors.api.openapi_table import TABLE
from streams import topics
from streams.edge.openapi import mounted, openapi
from streams.edge.rendered import Documents
from tests.unit.edge.operations_door import client, door

_VOID = {"meta", "br", "link"}


async def nothing(_: Request) -> Response:
    return PlainTextResponse("")


EVERY = [
    Route(each.path, nothing, methods=[each.method])
    for each in TABLE
    if not each.path.startswith(("/docs", "/openapi", "/asyncapi"))
]


class Page(HTMLParser):
    """What a page holds: that its elements nest, its ids, where its links lead, its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        given = dict(attributes)
        self.open += [] if tag in _VOID else [tag]
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.fetched += [given[name] for name in ("src", "srcset", "action") if name in given] + (
            [tag] if tag in {"link", "script"} else []
        )

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(path: str) -> tuple[Page, Response]:
    answer: Any = client(door(), [*EVERY, *Documents(EVERY).routes()], key="").get(path)
    assert answer.status_code == 200
    page = Page()
    page.feed(answer.text)
    page.close()
    return page, answer


@pytest.mark.parametrize("path", ["/docs", "/docs/topics"])
def test_a_page_is_whole_and_fetches_nothing(path: str) -> None:
    page, answer = shown(path)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} <= {
        "/docs",
        "/docs/topics",
        "/openapi.json",
        "/asyncapi.json",
    }
    assert page.fetched == []
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "prefers-color-scheme:dark" in style


def test_the_page_shows_every_path_and_every_topic() -> None:
    paths, known = shown("/docs")[0].text, shown("/docs/topics")[0].text
    assert {each.path for each in TABLE} <= set(paths)
    assert set(topics.all_topics(["{provider}"])) <= set(known)


def test_every_route_is_described_or_named() -> None:
    routes = [
        *EVERY,
        Route("/v1/new", nothing),
        Route("/hidden", nothing, include_in_schema=False),
        WebSocketRoute("/ws", nothing),
    ]
    assert openapi(routes)[UNDESCRIBED] == ["GET /v1/new"]
    assert UNDESCRIBED not in openapi(EVERY)


def test_variables_lose_how_they_are_matched() -> None:
    assert list(mounted([Route("/v1/models/{model:path}", nothing)])) == [("GET", "/v1/models/{model:path}")]
    assert list(openapi([Route("/v1/models/{model:path}", nothing)])["paths"]) == ["/v1/models/{model}"]


def test_the_documents_tell_of_themselves_and_ask_for_no_key() -> None:
    told: Any = client(door(), [*EVERY, *Documents(EVERY).routes()], key="").get("/openapi.json").json()
    assert {"/openapi.json", "/asyncapi.json", "/docs", "/docs/topics"} <= told["paths"].keys()
    assert told["paths"]["/openapi.json"]["get"]["security"] == []
    assert UNDESCRIBED not in told
