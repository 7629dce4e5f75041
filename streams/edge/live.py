"""`GET /v1/live`: what happens now, once a second, to whoever watches a page or a terminal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from processors.api.refusals import RETRY_AFTER_S, Refusal
from processors.api.sse import sse
from schemas.keys import KeyRole
from streams.edge.door import Door
from streams.edge.live_audience import Showing
from streams.edge.principal import Principal, Refused
from streams.edge.streamed import SSE, SSE_HEADERS
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

PATH = "/v1/live"
MOST_VIEWERS = 200
"""In one process."""
_LOOK_EVERY_S = 2.0
"""So often a viewer's key is looked at again."""
_OPENING = b": live\n\n"


class Watching:
    """The showing of this process, which is there while somebody watches."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._showing: Showing | None = None
        self._running: set[asyncio.Task[None]] = set()

    def showing(self) -> Showing:
        """The one that runs now. Raises Refused when there are too many viewers."""
        if self._showing is None or self._showing.over:
            self._showing = Showing(self._runtime)
            running = asyncio.create_task(_run(self._showing), name="live")
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        if self._showing.viewers >= MOST_VIEWERS:
            message = f"{MOST_VIEWERS} watch this process already: try again, or ask another one"
            raise Refused(Refusal(503, "too_many_viewers", message, retry_after_s=RETRY_AFTER_S))
        return self._showing

    async def close(self) -> None:
        """End every stream."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_watching(runtime: Runtime, stop: asyncio.Event) -> AsyncIterator[Watching]:
    """Its streams end when `stop` is set: they would keep a server from stopping for ever."""
    watching = Watching(runtime)

    async def end() -> None:
        await stop.wait()
        await watching.close()

    ending = asyncio.create_task(end(), name="live end")
    try:
        yield watching
    finally:
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
        await watching.close()


class LiveView:
    """The handler."""

    def __init__(self, door: Door, watching: Watching) -> None:
        self._door = door
        self._watching = watching

    def routes(self) -> list[Route]:
        return [Route(PATH, self._watch, methods=["GET"])]

    async def _watch(self, http: Request) -> Response:
        def may() -> Principal:
            return self._door.admit(http, KeyRole.READ, KeyRole.ADMIN)

        tenant = watched(may(), http.query_params.get("tenant"))
        events = _told(self._watching.showing(), tenant, may)
        return StreamingResponse(events, media_type=SSE, headers={**SSE_HEADERS, "cache-control": "no-store"})


def watched(principal: Principal, wanted: str | None) -> str | None:
    """Whose requests are shown; None: everybody's. Raises Refused when they are not the principal's to see."""
    if principal.may(KeyRole.ADMIN):
        return wanted
    if wanted not in {None, principal.tenant}:
        raise Refused(Refusal(403, "permission_denied", "a key shows its own tenant alone; one with the role `admin` shows all"))
    return principal.tenant


async def _told(showing: Showing, tenant: str | None, may: Callable[[], Any]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(showing.messages(tenant)) as messages:
        yield _OPENING
        looked_s = time.monotonic()
        async for message in messages:
            if time.monotonic() - looked_s >= _LOOK_EVERY_S:
                looked_s = time.monotonic()
                try:
                    may()
                except Refused as refused:
                    yield sse(refused.refusal.native(), "error")
                    return
            yield message


async def _run(showing: Showing) -> None:
    try:
        await showing.run()
    except Exception:
        log.exception("edge_live_ended", next_step="whoever watches connects again; this is a defect, report it")
