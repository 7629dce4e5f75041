"""Every response has an id, every error the shape of its path."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from processors.api.refusals import Refusal
from streams.edge.app import edge_app
from streams.edge.door import Door
from streams.edge.principal import Refused


async def fine(_: Request) -> Response:
    return PlainTextResponse("fine")


async def again(http: Request) -> Response:
    http.state.request_id = "req-of-the-first-time"
    return PlainTextResponse("again")


async def refused(_: Request) -> Response:
    raise Refused(Refusal(503, "log_unavailable", "try later", retry_after_s=5))


async def broken(_: Request) -> Response:
    raise RuntimeError("a secret of ours")


@pytest.fixture
def client() -> TestClient:
    paths = ("/v1/chat/completions", "/v1/messages", "/v1/requests")
    routes = [Route("/fine", fine), Route("/again", again), Route("/broken", broken), *(Route(path, refused) for path in paths)]
    return TestClient(cast("Any", edge_app(cast("Door", SimpleNamespace()), routes)), raise_server_exceptions=False)


def test_every_response_has_an_id_of_its_own(client: TestClient) -> None:
    ids = {client.get("/fine").headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert client.get("/fine").headers["request-id"].startswith("req-")


def test_a_request_that_comes_again_keeps_its_first_id(client: TestClient) -> None:
    assert client.get("/again").headers["x-request-id"] == "req-of-the-first-time"


@pytest.mark.parametrize(
    ("path", "status", "where"),
    [
        pytest.param("/v1/chat/completions", 503, ("error", "message"), id="OpenAI's"),
        pytest.param("/v1/messages", 529, ("error", "message"), id="Anthropic's"),
        pytest.param("/v1/requests", 503, ("detail",), id="our own"),
    ],
)
def test_a_refusal_speaks_as_its_path_does(client: TestClient, path: str, status: int, where: tuple[str, ...]) -> None:
    answer = client.get(path)
    body = answer.json()
    for name in where:
        body = body[name]
    assert (answer.status_code, body, answer.headers["retry-after"]) == (status, "try later", "5")


def test_a_defect_tells_nothing_but_the_id(client: TestClient) -> None:
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"].startswith("req-")


def test_an_unknown_path_says_where_the_known_ones_are(client: TestClient) -> None:
    answer = client.get("/v1/chats")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "unknown_path"
