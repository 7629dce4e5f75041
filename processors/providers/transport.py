"""The SDKs' HTTP over our aiohttp session: less CPU than their own transports, and errors that say whether anything was sent."""

from collections.abc import AsyncIterator

import aiohttp
import httpx2

from processors.providers.sessions import Session, heard, pieces, read

_STREAMS = ("text/event-stream", "application/x-ndjson")
_DECODED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def http_client(session: Session) -> httpx2.AsyncClient:
    """A client for an SDK. It follows no redirect, which would carry the key and the prompt elsewhere."""
    return httpx2.AsyncClient(
        transport=Transport(session),
        headers={"Accept-Encoding": "gzip, deflate"},
        timeout=None,
        follow_redirects=False,
        trust_env=False,
    )


SILENCED = (
    "X-Stainless-Lang",
    "X-Stainless-Package-Version",
    "X-Stainless-OS",
    "X-Stainless-Arch",
    "X-Stainless-Runtime",
    "X-Stainless-Runtime-Version",
    "X-Stainless-Async",
    "x-stainless-retry-count",
    "x-stainless-read-timeout",
)
"""What the SDKs tell of this machine with every call. No provider needs it, and it takes a tenth of a call's CPU."""


class Transport(httpx2.AsyncBaseTransport):
    """Timeouts of the SDK are not looked at: the adapter bounds the call as a whole, the session its connecting."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises httpx2.ConnectError when nothing was sent, else ReadError or ReadTimeout; ProviderContractError when long."""
        try:
            response = await self._session.opened().request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=request.content or None,
                proxy=self._session.proxy,
                allow_redirects=False,
            )
            heard(response)
            # aiohttp has decoded the body: httpx2 must not try again.
            headers = [item for item in response.raw_headers if item[0].lower() not in _DECODED]
            if response.content_type in _STREAMS:
                return httpx2.Response(response.status, headers=headers, stream=_Body(response), request=request)
            async with response:
                return httpx2.Response(response.status, headers=headers, content=await read(response), request=request)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._session.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in pieces(self._response):
                yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        # Before the end of the body this closes the connection, after it the connection is back in the pool already.
        self._response.close()


def _translated(error: Exception) -> httpx2.TransportError:
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return httpx2.ConnectError(name)
    return httpx2.ReadTimeout(name) if isinstance(error, TimeoutError) else httpx2.ReadError(name)
