"""The gate to Valkey or Redis: many values at once, in time or not at all. The only user of redis-py."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from types import TracebackType
from typing import TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from schemas.errors import SettingsError, StoreUnavailable

_CONNECT_TIMEOUT_S = 1.0
_SCAN_COUNT = 1_000

T = TypeVar("T")


class Valkey:
    """Raises StoreUnavailable for whatever goes wrong, at the latest after its time. Connects when it is first asked."""

    def __init__(self, url: str, *, timeout_s: float, store_timeout_s: float = 1.0) -> None:
        """`timeout_s` bounds reading, for which requests wait. Raises SettingsError when `url` is none of a Redis server."""
        self._timeout_s = timeout_s
        self._store_timeout_s = max(timeout_s, store_timeout_s)
        try:
            # redis-py would try again three times, with pauses: a cache is not waited for.
            self._client: Redis = Redis.from_url(
                url, socket_connect_timeout=_CONNECT_TIMEOUT_S, retry=Retry(NoBackoff(), 0), health_check_interval=0
            )
        except ValueError as error:
            raise SettingsError("REDIS_URL is no address of a Redis server; it looks like redis://host:6379/0") from error

    async def __aenter__(self) -> "Valkey":
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.aclose()

    async def get_many(self, keys: Sequence[str | bytes]) -> list[bytes | None]:
        """The values of the keys, in their order, in one round trip."""
        values: list[bytes | None] = await _within(
            self._timeout_s, self._client.mget(keys), f"answer a look-up of {len(keys)} keys"
        )
        return values

    async def keys(self, pattern: str) -> AsyncIterator[list[bytes]]:
        """All keys that match, in pieces, without holding up the server (SCAN); a key that changes meanwhile may be missed."""
        cursor = 0
        while True:
            asked = self._client.scan(cursor, match=pattern, count=_SCAN_COUNT)
            cursor, found = await _within(self._store_timeout_s, asked, "answer")
            if found:
                yield found
            if cursor == 0:
                return

    async def drop(self, keys: Sequence[bytes]) -> int:
        """Forget the keys. Returns how many there were."""
        return int(await _within(self._store_timeout_s, self._client.unlink(*keys), "answer"))

    async def set_many(self, items: Iterable[tuple[str, bytes, int]]) -> None:
        """Store (key, value, seconds to live) in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value, ttl_s in items:
            pipeline.set(key, value, ex=ttl_s)
        count = len(pipeline)
        await _within(self._store_timeout_s, pipeline.execute(), f"take {count} answers")


async def _within(seconds: float, asked: Awaitable[T], what: str) -> T:
    """What was asked, in time. Raises StoreUnavailable, which says what Valkey did not do."""
    try:
        async with asyncio.timeout(seconds):
            return await asked
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"Valkey did not {what}: {type(error).__name__}") from error
