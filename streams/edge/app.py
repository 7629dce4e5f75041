"""The edge as one ASGI application: its paths, and every error in the shape that the path's clients read."""

from collections.abc import Iterable
from typing import Any

import orjson
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processors.api.refusals import Refusal
from streams.edge.door import Door
from streams.edge.principal import Refused
from streams.ids import new_id

log = structlog.get_logger(__name__)

_ANTHROPIC = ("/v1/messages",)
_NATIVE = (
    "/v1/requests",
    "/v1/costs",
    "/v1/tables",
    "/v1/providers",
    "/v1/config",
    "/v1/webhooks",
    "/health",
    "/schemas",
    "/metrics",
    "/v1/live",
)


def edge_app(door: Door, routes: Iterable[BaseRoute]) -> ASGIApp:
    """Everything that the edge answers."""
    handlers: Any = {Refused: _refused, HTTPException: _http_error, Exception: _defect}
    app = Starlette(routes=list(routes), exception_handlers=handlers)
    app.state.door = door
    return Labelled(app)


class Labelled:
    """Gives every request an id and every response `x-request-id`, and `request-id`, which is where Anthropic's clients look."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = new_id("req")

        async def labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                label = state["request_id"].encode()  # a request that comes again has the id of its first time
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", label), (b"request-id", label)]
            await send(message)

        await self._app(scope, receive, labelled)


def refusal_response(http: Request, refusal: Refusal) -> Response:
    """A refusal in the shape of the path: Anthropic's, our own (RFC 9457), else OpenAI's."""
    headers = {"x-should-retry": "false"}  # the SDKs obey it: each try of theirs is a new request, with a price
    if refusal.retry_after_s is not None:
        headers = {"x-should-retry": "true", "retry-after": str(refusal.retry_after_s)}
    path, status, media = http.url.path, refusal.status, "application/json"
    if path.startswith(_ANTHROPIC):
        body, status = refusal.anthropic(http.state.request_id), refusal.anthropic_status
    elif path.startswith(_NATIVE):
        body, media = refusal.native(), "application/problem+json"
    else:
        body = refusal.openai()
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(orjson.dumps(body), status, headers, media)


async def _refused(http: Request, error: Refused) -> Response:
    return refusal_response(http, error.refusal)


async def _http_error(http: Request, error: HTTPException) -> Response:
    code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    message = f"{http.method} {http.url.path[:200]}: {error.detail}; docs/edge.md lists the paths"
    return refusal_response(http, Refusal(error.status_code, code, message))


async def _defect(http: Request, error: Exception) -> Response:
    log.error("edge_defect", path=http.url.path, request_id=http.state.request_id, exc_info=error)
    message = "the edge failed over this request; its log says more under the request id"
    return refusal_response(http, Refusal(500, "internal_error", message))
