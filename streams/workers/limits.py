"""How many calls and tokens a minute a deployment may take, held over all worker processes.

With a Valkey the minute's calls are counted there, for all. Without one, or while it is away, each worker keeps to its share, as
large as its part of the orders' partitions. Both are counted over a moving minute: calls one by one; tokens in units of a
ten-thousandth of the limit, what a call is expected to take before it, what it has taken beyond that after it.
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
SLACK_S = 1
"""A call counts when it is admitted, and arrives a moment later, some sooner than others: a provider's minute is not ours."""
EXPECTED_OUTPUT_TOKENS = 400
"""Of a call whose request bounds nothing tighter: an answer of ordinary length."""
TOKEN_UNITS = 10_000
"""So many units make a minute's tokens at most: an entry of the moving minute is a unit, and a call takes whole ones."""
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
        wait_s = await self._take_shared(order.deployment, bound, tokens)
        if wait_s is None:
            wait_s = await self._take_own(order.deployment, bound, tokens, share=self._share())
        elif wait_s <= 0:
            # When Valkey goes away, what this worker has called in the last minute must not be forgotten.
            await self._take_own(order.deployment, bound, tokens, share=1.0)
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
            await _add_tokens(self._own, order.deployment, beyond, bound.tokens, share=self._share())
            return
        try:
            await _add_tokens(self._shared, order.deployment, beyond, bound.tokens, share=1.0)
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

    async def _take_own(self, deployment: str, bound: _Bound, tokens: int, *, share: float) -> float:
        return await _take(self._own, deployment, bound, tokens, share=share, now=self._clock())

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
        limit, window_s, units = _units(bound.tokens, share, tokens)
        key = _key(deployment, "tokens")
        # A single call that takes more than a minute's tokens could never be made: it takes them all.
        if not await storage.acquire_entry(key, limit, window_s, min(units, limit)):
            began, _ = await storage.get_moving_window(key, limit, window_s)
            return max(began + window_s - now, _SHORTEST_WAIT_S)
    if bound.requests is not None:
        limit, window_s = _part(bound.requests, share)
        key = _key(deployment, "requests")
        if not await storage.acquire_entry(key, limit, window_s):
            began, _ = await storage.get_moving_window(key, limit, window_s)
            return max(began + window_s - now, _SHORTEST_WAIT_S)
    return 0.0


async def _add_tokens(storage: MemoryStorage | RedisStorage, deployment: str, tokens: int, of: int, *, share: float) -> None:
    """Count tokens that are already taken, up to the limit: more cannot be told to a window."""
    key = _key(deployment, "tokens")
    limit, window_s, units = _units(of, share, tokens)
    _, taken = await storage.get_moving_window(key, limit, window_s)
    if (room := min(units, limit - taken)) > 0:
        await storage.acquire_entry(key, limit, window_s, room)


def _units(of: int, share: float, tokens: int) -> tuple[int, int, int]:
    """A share of the tokens a minute as units and a window in seconds, and the units that `tokens` take, rounded up.

    >>> _units(120_000, 0.5, 205), _units(1_000, 1.0, 205)
    ((5000, 61, 18), (1000, 61, 205))
    """
    unit = math.ceil(of / TOKEN_UNITS)
    limit, window_s = _part(max(1, of // unit), share)
    return limit, window_s, math.ceil(tokens / unit)


def _part(amount: int, share: float) -> tuple[int, int]:
    """A share of an amount a minute, as an amount and its window in seconds: less than one a minute is one in a longer window.

    >>> _part(100, 0.5), _part(1, 0.25)
    ((50, 61), (1, 241))
    """
    whole = math.floor(amount * share)
    window_s = MINUTE_S if whole >= 1 else math.ceil(MINUTE_S / (amount * share))
    return max(whole, 1), window_s + SLACK_S


def _key(deployment: str, what: str) -> str:
    return f"{_PREFIX}:{what}:{deployment}"
