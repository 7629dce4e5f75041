"""Follows `GET /v1/live` of an edge, through lost connections, and fetches what is asked about one request."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from schemas.errors import PenstockError
from streams.cli.top_board import ERROR

_CONNECT_S = 5.0
_SILENT_S = 15.0
"""An edge tells something every second: one that is silent for so long is gone."""
_RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0)
_MAX_EVENT_BYTES = 32_000_000
_MAX_SAID = 300


class Refused(PenstockError):
    """The edge answers, and does not tell. `status` is HTTP's; 0 where it ended a stream that had begun."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    name: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """Nobody tells anything: why, and after how many seconds it is tried again."""

    why: str
    again_s: float


class Feed:
    """One edge, asked with one key. Use as an async context manager."""

    def __init__(self, url: str, key: str | None, tenant: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._live = f"{self.url}/v1/live" + (f"?tenant={quote(tenant, safe='')}" if tenant else "")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}

    async def __aenter__(self) -> "Feed":
        self._session = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def follow(self) -> AsyncGenerator[Told | Lost, None]:
        """Events for as long as the caller likes; `Lost` whenever the connection ends or cannot be had."""
        failures = 0
        while True:
            try:
                async for told in self.events():
                    failures = 0
                    yield told
                why = "the edge ended the stream"
            except (Refused, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                why = in_words(error)
            lost = Lost(why, _RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1
            yield lost
            await asyncio.sleep(lost.again_s)

    async def events(self) -> AsyncGenerator[Told, None]:
        """The events of one connection. Raises Refused, or what `in_words` has words for."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENT_S)
        async with self._session.get(self._live, timeout=timeout, headers={"accept": "text/event-stream"}) as answer:
            if answer.status != 200:
                raise Refused(answer.status, _said(answer.status, await answer.content.read(4_096)))
            events = Events()
            async for block in answer.content.iter_any():
                for told in events.feed(block):
                    if told.name == ERROR:
                        raise Refused(0, _detail(told.data) or "the edge ended the stream")
                    yield told

    async def request(self, request_id: str) -> dict[str, Any]:
        """What `GET /v1/requests/{id}` tells. Raises as `events` does."""
        timeout = aiohttp.ClientTimeout(total=30, sock_connect=_CONNECT_S)
        async with self._session.get(f"{self.url}/v1/requests/{quote(request_id, safe='')}", timeout=timeout) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise Refused(answer.status, _said(answer.status, body))
            found: dict[str, Any] = orjson.loads(body)
            return found


@dataclass(slots=True)
class Events:
    """Server-sent events out of bytes as they come, each with its data from JSON."""

    _rest: bytes = b""
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, block: bytes) -> Iterator[Told]:
        r"""The events that end in this block. Raises ValueError for what is no event of ours.

        >>> events = Events()
        >>> list(events.feed(b'event: update\ndata: {"a"')), list(events.feed(b': 1}\n\n: waiting\n\n'))
        ([], [Told(name='update', data={'a': 1})])
        """
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > _MAX_EVENT_BYTES:
            raise ValueError("an event without an end")
        for line in lines:
            kind, _, value = line.rstrip(b"\r").partition(b":")
            if kind == b"event":
                self._name = value.strip().decode()
            elif kind == b"data":
                self._data.append(value)
            elif not line.strip() and self._data:
                yield Told(self._name or "message", orjson.loads(b"\n".join(self._data)))
                self._name, self._data = "", []


def in_words(error: Exception) -> str:
    """Why nothing is told, in a line."""
    match error:
        case Refused():
            return str(error)
        case TimeoutError():
            return "the edge does not answer"
        case aiohttp.ClientConnectorError():
            return f"nobody answers at {error.host}:{error.port}"
        case ValueError():
            return f"what answers is no edge of this version ({type(error).__name__})"
    return f"the connection broke ({type(error).__name__})"


_NEXT = {
    401: "give a key with --key: `penstock keys create --tenant NAME --role read` makes one",
    403: "the key needs the role read, or admin for all tenants",
    404: "it is not there, or not for this key",
}


def _said(status: int, body: bytes) -> str:
    """What an error says, with the next step."""
    try:
        said = _detail(orjson.loads(body))
    except orjson.JSONDecodeError:
        said = ""
    return "; ".join(part for part in (f"the edge says {status}", said[:_MAX_SAID], _NEXT.get(status)) if part)


def _detail(problem: Any) -> str:
    """The words of a problem of RFC 9457."""
    found = problem if isinstance(problem, dict) else {}
    return str(found.get("detail") or found.get("title") or "")
