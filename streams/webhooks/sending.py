"""One try of one delivery: a signed POST to an address that was checked a moment ago, and what came of it.

1. The connection goes to the addresses that the guard judged, and the certificate must be the host's.
2. Nothing is followed, no proxy is asked, no cookie kept, no connection used twice.
3. Of an answer so much is read and no more, and all of it takes so many seconds at most.
"""

import asyncio
import socket
import ssl
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from processors.webhooks.decide import Came, retry_after_s
from processors.webhooks.signing import headers_of
from processors.webhooks.target import Unusable
from schemas.webhooks import WebhookEndpoint
from streams import clock
from streams.webhooks.guard import Allowed, Guard

log = structlog.get_logger(__name__)

TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 64 * 1024
_SHOWN_CHARS = 1_000
_HEADERS = {
    "content-type": "application/json",
    "user-agent": "Penstock-Webhooks/1",
    "accept-encoding": "identity",
    "connection": "close",
}


class Sender:
    """`installation` is the secret that the endpoints' secrets are derived from. `trust` says whose certificates hold."""

    def __init__(
        self, guard: Guard, installation: bytes, *, trust: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._guard = guard
        self._installation = installation
        self._trust = trust or ssl.create_default_context()
        self._timeout_s = timeout_s

    async def send(self, endpoint: WebhookEndpoint, message_id: str, body: str) -> Came:
        """What came of one try. Nothing that an endpoint does makes it raise."""
        begun_s = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                came = await self._send(endpoint, message_id, body)
        except TimeoutError:
            came = Came(error=f"there was no whole answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            came = Came(error=f"{type(error).__name__}: {error}"[:300])
        except Exception as error:
            # A defect that one endpoint meets must not end what others are told.
            log.exception("webhook_defect", webhook_id=endpoint.webhook_id)
            came = Came(error=f"Penstock failed over it ({type(error).__name__})")
        return replace(came, duration_ms=round((time.perf_counter() - begun_s) * 1000))

    async def _send(self, endpoint: WebhookEndpoint, message_id: str, body: str) -> Came:
        judged = await self._guard.judge(endpoint.url)
        if isinstance(judged, Unusable):
            return Came(error=judged.reason)
        signed = headers_of(self._installation, endpoint, message_id, body, now=clock.now())
        async with self._session(judged) as session:
            url = URL(judged.target.url, encoded=True)
            async with session.post(url, data=body.encode(), headers={**_HEADERS, **signed}, allow_redirects=False) as answer:
                shown = await _beginning(answer)
                answer.close()
        wrong = None if 200 <= answer.status < 300 else _wrong(answer.status)
        asked_s = retry_after_s(answer.headers.get("retry-after"), now=clock.now())
        return Came(answer.status, wrong, shown, asked_s)

    def _session(self, judged: Allowed) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(judged.addresses), use_dns_cache=False, force_close=True, limit=1, ssl=self._trust
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
        )


class _Pinned(AbstractResolver):
    """Answers with the addresses that were judged, whatever is asked."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=socket.AI_NUMERICHOST)
            for address in self._addresses
        ]

    async def close(self) -> None:
        pass


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6


async def _beginning(answer: Any) -> str:
    """The first characters of the answer's body; reads it to its end, or to the bound."""
    read = bytearray()
    while len(read) < MAX_ANSWER_BYTES and (part := await answer.content.read(MAX_ANSWER_BYTES - len(read))):
        read += part
    return read.decode("utf-8", "replace")[:_SHOWN_CHARS]


def _wrong(status: int) -> str:
    if 300 <= status < 400:
        return f"it was answered with {status}, and redirects are not followed"
    return f"it was answered with {status}"
