"""One bounded aiohttp session an adapter, and how far its call has come."""

import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx2

from processors.providers.limits import limits_of
from schemas.errors import ProviderContractError
from schemas.health import RateLimits

CONNECT_TIMEOUT_S = 10.0
KEEPALIVE_S = 4.0
"""Below the 5 s after which uvicorn (vLLM and most Python servers) hangs up: a request written into a closing connection counts
as one that may have been billed."""
MAX_REPLY_BYTES = 16 * 1024 * 1024

_progress: ContextVar["Progress | None"] = ContextVar("progress", default=None)


class Progress:
    """Whether a call's request may have been written: before that, no failure can have cost anything.

    And what the headers of its reply said about rate limits, be the reply an answer or a refusal.
    """

    __slots__ = ("_tell", "connected", "limits")

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        self.connected = False
        self.limits: RateLimits | None = None
        self._tell = tell
        _progress.set(self)

    def mark(self) -> None:
        self.connected = True
        if self._tell is not None:
            self._tell()


class _Connector(aiohttp.TCPConnector):
    """Tells the call of this task when a connection stands, TLS included: the request is written next."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's signature
        connection = await super().connect(req, traces, timeout)
        if (progress := _progress.get()) is not None:
            progress.mark()
        return connection


class Session:
    """Opens with the first call, because aiohttp wants a running loop. `connections` bounds the pool."""

    def __init__(self, address: str, *, connections: int) -> None:
        self._connections = connections
        # The certificates cost 20 ms to read; a plain address needs none.
        self._ssl: ssl.SSLContext | bool = httpx2.create_ssl_context() if address.startswith("https:") else True
        # Looked up once: aiohttp's trust_env would read the environment on every call.
        self.proxy = _proxy_of(address)
        self._session: aiohttp.ClientSession | None = None

    def opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=self._connections, keepalive_timeout=KEEPALIVE_S, ssl=self._ssl, ttl_dns_cache=30),
                # The adapters set one deadline around the whole call; here only the connection has its own.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=True,
            )
        return self._session

    @asynccontextmanager
    async def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response, body unread. Redirects are not followed: they would carry the key and the prompt elsewhere."""
        async with self.opened().post(url, data=body, headers=headers, proxy=self.proxy, allow_redirects=False) as response:
            heard(response)
            yield response

    @asynccontextmanager
    async def get(self, url: str, *, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """As `post`, without a body."""
        async with self.opened().get(url, headers=headers, proxy=self.proxy, allow_redirects=False) as response:
            heard(response)
            yield response

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def heard(response: aiohttp.ClientResponse) -> None:
    """Keep what a reply's headers say about rate limits for the call of this task."""
    if (progress := _progress.get()) is not None:
        progress.limits = limits_of(response.headers, now=datetime.now(UTC))


async def read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises ProviderContractError beyond 16 MiB."""
    if (
        response.content_length is not None
        and response.content_length <= MAX_REPLY_BYTES
        and "Content-Encoding" not in response.headers
    ):
        return await response.read()
    return b"".join([piece async for piece in pieces(response)])


async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body as it comes. Raises ProviderContractError beyond 16 MiB."""
    size = 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MAX_REPLY_BYTES:
            raise ProviderContractError(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
        yield piece


def _proxy_of(address: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for an address."""
    parts = urlsplit(address)
    if not parts.hostname or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)
