"""`/ws`: a tenant's requests as they run, over a WebSocket.

The key comes in the `Authorization` header, or in the first message as `{"key": "..."}`: browsers cannot send the header. After
`ready` everything is told that is written from then on; `{"request_id": "..."}` narrows it to one request, `null` widens it.
"""

import asyncio
import contextlib
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from processors.api.refusals import Refusal
from schemas.keys import KeyRole
from streams.edge.door import Door
from streams.edge.principal import Principal, Refused, admitted, credential_of
from streams.edge.websocket_feed import Feed, Listener

PATH = "/ws"
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
KEY_WITHIN_S = 10.0
_CLOSE_WITHIN_S = 5.0
_LOOK_EVERY_S = 2.0
"""So often a client's key is looked at again."""
_KEEP_ALIVE_TURNS = 8
_MAX_REASON_BYTES = 120  # a close frame holds 123


class Sockets:
    """The handler."""

    def __init__(self, door: Door, feed: Feed) -> None:
        self._door = door
        self._feed = feed

    def routes(self) -> list[WebSocketRoute]:
        return [WebSocketRoute(PATH, self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            self._refuse_foreign_pages(socket)
            headers = await _with_key(socket)
            principal = self._admitted(headers)
        except WebSocketDisconnect:
            return
        except Refused as refused:
            await _close(socket, POLICY_VIOLATION, refused.refusal.message)
            return
        listener = Listener(principal.tenant, socket.query_params.get("request_id"))
        async with self._feed.listening(listener):
            listener.tell('{"type":"ready"}')
            await self._until_it_ends(socket, listener, headers)

    async def _until_it_ends(self, socket: WebSocket, listener: Listener, headers: dict[str, str]) -> None:
        too_slow = asyncio.create_task(listener.too_slow.wait())
        revoked = asyncio.create_task(self._until_revoked(listener, headers))
        tasks = {too_slow, revoked, asyncio.create_task(_send(socket, listener)), asyncio.create_task(_hear(socket, listener))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            task.result()
        if too_slow in done:
            await _close(socket, TRY_AGAIN_LATER, "too slow for what is told: connect again, and ask for less")
        elif revoked in done:
            await _close(socket, POLICY_VIOLATION, "the key opens nothing any more")

    async def _until_revoked(self, listener: Listener, headers: dict[str, str]) -> None:
        turns = 0
        with contextlib.suppress(Refused):
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                self._admitted(headers)
                turns += 1
                if turns % _KEEP_ALIVE_TURNS == 0:
                    listener.tell('{"type":"keep_alive"}')

    def _refuse_foreign_pages(self, socket: WebSocket) -> None:
        """Where no key is asked for, any page in a browser of this machine could connect: only those served from here may."""
        origin = socket.headers.get("origin")
        if not self._door.runtime.settings.edge_insecure_local or origin is None:
            return
        if urlsplit(origin).netloc != socket.headers.get("host"):
            raise Refused(Refusal(403, "permission_denied", "without keys, pages from elsewhere may not connect"))

    def _admitted(self, headers: dict[str, str]) -> Principal:
        return admitted(self._door.authority, headers, KeyRole.READ)


async def _with_key(socket: WebSocket) -> dict[str, str]:
    """Headers that hold the client's key. Raises Refused when none comes in time."""
    headers = dict(socket.headers)
    if credential_of(headers):
        return headers
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KEY_WITHIN_S):
            key = _object(await socket.receive_text()).get("key")
            if isinstance(key, str):
                return {"authorization": f"Bearer {key}"}
    return {}


async def _send(socket: WebSocket, listener: Listener) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.send_text(await listener.messages.get())


async def _hear(socket: WebSocket, listener: Listener) -> None:
    """Obey what the client says, until it goes."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            said = _object(await socket.receive_text())
            if "request_id" in said and isinstance(said["request_id"], str | None):
                listener.request_id = said["request_id"]


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # A client that is gone, or reads nothing, is left to its fate.
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await socket.close(code, reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"))


def _object(text: str) -> dict[str, Any]:
    """What a client sent, if it is a JSON object; else an empty one."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
