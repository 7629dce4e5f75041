"""How many calls and tokens a minute a deployment may take, held over all worker processes.

With a Valkey the minute's calls are counted there, for all. Without one, or while it is away, each worker keeps to its share, as
large as its part of the orders' partitions. Calls are counted exactly, over a moving minute; tokens by a sliding-window
counter: what a call is expected to take before it, what it has taken beyond that after it.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from schemas.calls import CallOrdered, Usage
from schemas.deployments import Deployment
from streams.stores.breaker import Breaker

log = structlog.get_logger(__name__)

MINUTE_S = 60
EXPECTED_OUTPUT_TOKENS = 400
"""Of a call whose request bounds nothing tighter: an answer of ordinary length."""
_PREFIX = "penstock:limit"
_SHORTEST_WAIT_S = 0.05
_ANSWERS_WITHIN_S = 0.25
_AWAY = (StorageError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Bound:
    requests: int | None
    tokens: int | None


class CallLimits:
    """Admits calls. `share()` is this process's part of all orders, in (0, 1]; `url` None: there is no Valkey."""

    def __init__(
        self,
        deployments: Iterable[Deployment],
        url: str | None,
        share: Callable[[], float],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._bounds: Mapping[str, _Bound] = {
            d.name: _Bound(d.requests_per_minute, d.tokens_per_minute)
            for d in deployments
            if d.requests_per_minute is not None or d.tokens_per_minute is not None
        }
        self._share, self._clock = share, clock
        self._own = MemoryStorage()
        self._connections: ConnectionPool | None = None
        self._shared: RedisStorage | None = None
        if url is not None and self._bounds:
            timeout_s = _ANSWERS_WITHIN_S
            self._connections = ConnectionPool.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
            self._shared = RedisStorage(
                f"async+{url}",
                implementation="redispy",
                wrap_exceptions=True,
                connection_pool=self._connections,  # type: ignore[arg-type]
            )
        self._breaker = Breaker(time.monotonic)
        self._next_free: dict[str, float] = {}

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()

    async def take(self, order: CallOrdered) -> float:
        """0 when the call may be made now, and it counts; else the seconds after which it is worth trying again.

        Those who are turned away are told different times, one place after the other.
        """
        bound = self._bounds.get(order.deployment)
        if bound is None:
            return 0.0
        tokens = expected_tokens(order)
        taken = await self._take_shared(order.deployment, bound, tokens)
        wait_s = await self._take_own(order.deployment, bound, tokens) if taken is None else taken
        if wait_s <= 0:
            return 0.0
        return self._in_turn(order.deployment, bound, wait_s)

    async def settle(self, order: CallOrdered, usage: Usage | None) -> None:
        """Count what the call has taken beyond what was expected."""
        bound = self._bounds.get(order.deployment)
        if bound is None or bound.tokens is None or usage is None:
            return
        beyond = usage.input_tokens + usage.output_tokens - expected_tokens(order)
        if beyond <= 0:
            return
        if self._shared is None or self._breaker.open:
            await _add_tokens(self._own, order.deployment, beyond, *_part(bound.tokens, self._share()))
            return
        try:
            await _add_tokens(self._shared, order.deployment, beyond, bound.tokens, MINUTE_S)
        except _AWAY as error:
            self._failed(error)

    async def _take_shared(self, deployment: str, bound: _Bound, tokens: int) -> float | None:
        """As `take`; None when there is no Valkey that answers."""
        if self._shared is None or not self._breaker.allows():
            return None
        try:
            wait_s = await _take(self._shared, deployment, bound, tokens, share=1.0, now=self._clock())
        except _AWAY as error:
            self._failed(error)
            return None
        self._breaker.succeeded()
        return wait_s

    async def _take_own(self, deployment: str, bound: _Bound, tokens: int) -> float:
        return await _take(self._own, deployment, bound, tokens, share=self._share(), now=self._clock())

    def _in_turn(self, deployment: str, bound: _Bound, wait_s: float) -> float:
        now, apart_s = self._clock(), MINUTE_S / bound.requests if bound.requests else 0.0
        at = max(now + wait_s, self._next_free.get(deployment, 0.0) + apart_s)
        self._next_free[deployment] = at
        return max(at - now, _SHORTEST_WAIT_S)

    def _failed(self, error: Exception) -> None:
        was_open = self._breaker.open
        self._breaker.failed()
        if self._breaker.open and not was_open:
            log.warning("limits_not_shared", error=type(error).__name__, next_step="each worker keeps to its share; check Valkey")


def expected_tokens(order: CallOrdered) -> int:
    """What a call is counted with before it is made."""
    return order.input_tokens_estimate + min(order.output_tokens_bound, EXPECTED_OUTPUT_TOKENS)


async def _take(
    storage: MemoryStorage | RedisStorage, deployment: str, bound: _Bound, tokens: int, *, share: float, now: float
) -> float:
    if bound.tokens is not None:
        limit, window_s = _part(bound.tokens, share)
        key = _key(deployment, "tokens")
        # A single call that takes more than a minute's tokens could never be made: it takes them all.
        if not await storage.acquire_sliding_window_entry(key, limit, window_s, min(tokens, limit)):
            _, _, _, expires_in = await storage.get_sliding_window(key, window_s)
            return float(max(expires_in, _SHORTEST_WAIT_S))
    if bound.requests is not None:
        limit, window_s = _part(bound.requests, share)
        key = _key(deployment, "requests")
        if not await storage.acquire_entry(key, limit, window_s):
            began, _ = await storage.get_moving_window(key, limit, window_s)
            return max(began + window_s - now, _SHORTEST_WAIT_S)
    return 0.0


async def _add_tokens(storage: MemoryStorage | RedisStorage, deployment: str, tokens: int, limit: int, window_s: int) -> None:
    """Count tokens that are already taken, up to the limit: more cannot be told to a window."""
    key = _key(deployment, "tokens")
    before, before_s, now, _ = await storage.get_sliding_window(key, window_s)
    room = limit - math.floor(before * before_s / window_s + now)
    if room > 0:
        await storage.acquire_sliding_window_entry(key, limit, window_s, min(tokens, room))


def _part(amount: int, share: float) -> tuple[int, int]:
    """A share of an amount a minute, as an amount and its window in seconds: less than one a minute is one in a longer window.

    >>> _part(100, 0.5), _part(1, 0.25)
    ((50, 60), (1, 240))
    """
    whole = math.floor(amount * share)
    return (whole, MINUTE_S) if whole >= 1 else (1, math.ceil(MINUTE_S / (amount * share)))


def _key(deployment: str, what: str) -> str:
    return f"{_PREFIX}:{what}:{deployment}"
