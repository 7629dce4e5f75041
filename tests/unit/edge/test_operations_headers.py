"""What every answer says to a browser, unless the part that answers says it itself."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.unit.edge.operations_door import client, door


async def plain(_: Request) -> Response:
    return PlainTextResponse("plain")


async def own(_: Request) -> Response:
    headers = {"Content-Security-Policy": "default-src 'self'", "cache-control": "public, max-age=60"}
    return PlainTextResponse("own", headers=headers)


ROUTES = [Route("/plain", plain), Route("/own", own)]


def test_an_answer_is_no_page_and_is_kept_by_nobody() -> None:
    for path in ("/plain", "/nowhere"):
        headers = client(door(), ROUTES).get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"


def test_a_parts_own_word_wins_and_stands_once() -> None:
    headers = client(door(), ROUTES).get("/own").headers
    assert headers.get_list("content-security-policy") == ["default-src 'self'"]
    assert headers.get_list("cache-control") == ["public, max-age=60"]
    assert headers["x-content-type-options"] == "nosniff"
