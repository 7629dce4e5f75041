"""The issuer's public keys (JWKS): fetched in the background, and again when a token names one that is not there."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import orjson
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from processors.api.refusals import Refusal
from streams.edge.principal import Refused

log = structlog.get_logger(__name__)

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""Signatures with a key pair alone: nobody who may check a token can make one."""
KEPT_S = 3_600.0
"""So long the keys do while the issuer is away; then no token is taken."""
_EVERY_S = 300.0
_RETRY_S = 5.0
_AGAIN_S = 10.0
"""For keys that are not there, the issuer is asked no more often."""
_WITHIN_S = 5.0
_FIRST_WITHIN_S = 5.0
_MAX_BYTES = 256 * 1024
_MIN_RSA_BITS = 2_048
_KINDS = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


class IssuerKeys:
    """`key` never waits: it is asked within the event loop, for every request."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str | None, PyJWK] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._wanted = asyncio.Event()
        self._first = asyncio.Event()

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["IssuerKeys"]:
        """Fetch in the background; in the body it was tried once, unless that took over five seconds."""
        task = asyncio.create_task(self._fetch_for_ever(), name="jwks")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_WITHIN_S):
                    await self._first.wait()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def caught_up(self) -> bool:
        """Whether there are keys that hold."""
        return time.monotonic() - self._fetched_s < KEPT_S

    def key(self, key_id: str | None) -> PyJWK | None:
        """The key of that id; None when the issuer has none. Raises Refused, 503, while nobody can tell."""
        if not self.caught_up:
            self._wanted.set()
            raise _untold("the issuer's keys cannot be fetched: try again")
        found = self._keys.get(key_id)
        if found is None and key_id is None and len(self._keys) == 1:
            found = next(iter(self._keys.values()))  # an issuer of one key may name it nowhere
        if found is None and time.monotonic() - self._tried_s > _AGAIN_S:
            self._wanted.set()
            raise _untold("the token names a key that is new here, which is being fetched: try again")
        if found is None and self._fetched_s < self._tried_s:
            raise _untold("the token names a key that is new here, and the issuer does not answer: try again")
        return found

    async def _fetch_for_ever(self) -> None:
        while True:
            self._wanted.clear()
            self._tried_s = time.monotonic()
            try:
                self._keys = await self._fetched()
                self._fetched_s = time.monotonic()
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                log.warning("jwks_not_fetched", error=str(error) or type(error).__name__, next_step="check PENSTOCK_JWT_JWKS_URL")
            self._first.set()
            await self._pause(_EVERY_S if self._fetched_s >= self._tried_s else _RETRY_S)

    async def _pause(self, at_most_s: float) -> None:
        """Until somebody wants keys, a second after the last try at the soonest."""
        with contextlib.suppress(TimeoutError):
            # `wait_for` loses a cancellation that comes together with what it waits for.
            async with asyncio.timeout(at_most_s):
                await self._wanted.wait()
            await asyncio.sleep(max(0.0, self._tried_s + 1.0 - time.monotonic()))

    async def _fetched(self) -> dict[str | None, PyJWK]:
        timeout = aiohttp.ClientTimeout(total=_WITHIN_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"accept": "application/json"}) as session,
            session.get(self._url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"HTTP {answer.status}")
            body = bytearray()
            async for part in answer.content.iter_any():
                body += part
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
        return keys_of(orjson.loads(body))


def keys_of(jwks: Any) -> dict[str | None, PyJWK]:
    """The keys that may check a signature, by their ids. Raises ValueError for what is no JWKS, or has no such key."""
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    keys: dict[str | None, PyJWK] = {}
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, Mapping) and (key := _key(each)) is not None:
            keys.setdefault(key.key_id, key)
    if not keys:
        raise ValueError(f"no JWKS with a key for {', '.join(ALGORITHMS)}")
    return keys


def _key(jwk: Mapping[str, Any]) -> PyJWK | None:
    """A key, bound to its own algorithm; None for one of another kind or use, and for one that cannot be read."""
    algorithm = _KINDS.get(str(jwk.get("kty")))
    if algorithm is None or jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    if algorithm == "ES256" and jwk.get("crv") != "P-256":
        return None
    try:
        key = PyJWK(dict(jwk), algorithm=algorithm)
    except (PyJWTError, ValueError, TypeError) as error:
        log.warning("jwk_unreadable", error=type(error).__name__, next_step="the issuer's JWKS holds a key that is none")
        return None
    return None if isinstance(key.key, RSAPublicKey) and key.key.key_size < _MIN_RSA_BITS else key


def _untold(message: str) -> Refused:
    return Refused(Refusal(503, "issuer_unavailable", message, retry_after_s=1))
