"""The page's files: all there, all its own, under a policy that lets nothing else in."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from streams.edge import page_routes
from streams.edge.app import edge_app
from streams.edge.page_routes import Page
from tests.unit.edge.native_log import MemoryLog, Process

FOLDER = Path(page_routes.__file__).parent / "page"
FILES = sorted(path.name for path in FOLDER.iterdir())
VENDORED = {"uplot.js", "uplot.css", "uplot.LICENSE.txt"}
OURS = [name for name in FILES if name not in VENDORED]


@pytest.fixture
def client() -> TestClient:
    return TestClient(edge_app(Process(MemoryLog()).door, Page().routes()))


def test_it_opens_without_a_key(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="en">' in page.text


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_with_its_type(client: TestClient, name: str) -> None:
    answer = client.get(f"/page/{name}")
    assert answer.content == (FOLDER / name).read_bytes()
    expected = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml", "txt": "text/plain"}
    assert answer.headers["content-type"].startswith(expected[name.rpartition(".")[2]])
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/page/other.js", "/page/..%2Fpage_routes.py", "/page/%2e%2e/role.py", "/page/"])
def test_nothing_else_is(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nothing_but_its_own_files_may_run_or_be_fetched(client: TestClient) -> None:
    policy = dict(part.strip().split(" ", 1) for part in client.get("/").headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in str(policy)


def test_a_file_that_has_not_changed_is_not_sent_again(client: TestClient) -> None:
    etag = client.get("/page/main.js").headers["etag"]
    again = client.get("/page/main.js", headers={"if-none-match": etag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", FILES)
def test_it_names_no_other_host(name: str) -> None:
    """But namespaces, which nobody fetches, and whose the vendored file is."""
    text = (FOLDER / name).read_text()
    hosts = set(re.findall(r"(?:https?:)?//([a-z0-9.-]+\.[a-z]{2,})", text)) - {"www.w3.org"}
    assert hosts <= ({"github.com"} if name in VENDORED else set())
    assert "sourceMappingURL" not in text


@pytest.mark.parametrize("name", [name for name in OURS if name.endswith((".html", ".js"))])
def test_what_it_asks_for_is_there(name: str) -> None:
    wanted = re.findall(r'"/page/([a-z.]+)"', (FOLDER / name).read_text())
    assert set(wanted) <= set(FILES)
    if name == "index.html":
        assert {"main.js", "page.css", "uplot.css", "uplot.js", "icon.svg"} <= set(wanted)


@pytest.mark.parametrize("name", [name for name in OURS if name.endswith(".js")])
def test_all_text_goes_in_as_text(name: str) -> None:
    """What a model or a client wrote is never read as HTML."""
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", (FOLDER / name).read_text())


def test_the_vendored_file_has_its_licence() -> None:
    assert "MIT License" in (FOLDER / "uplot.LICENSE.txt").read_text()
