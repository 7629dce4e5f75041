"""The answer cache: exact, by tenant, in two levels. What is kept is an InferenceResponse as it was published, sealed.

L1 holds what this process met in the last minute, so that a purge of Valkey shows everywhere within one. L2 is Valkey. One that
is away, slow or hung costs two time-outs, and then one now and then: each a miss, counted, for nobody waits for a cache.
"""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from processors.cache.answer import may_store
from processors.cache.seal import OVERHEAD_BYTES, seal, unseal
from schemas.errors import RecordError, StoreUnavailable
from schemas.outcomes import InferenceResponse
from schemas.serde import Codec, Serde
from streams import metrics
from streams.settings import Settings
from streams.stores.breaker import Breaker
from streams.stores.recent import Recent
from streams.stores.secret import cache_secret
from streams.stores.valkey import Valkey

log = structlog.get_logger(__name__)

KEY_PREFIX = "penstock:answer:"
MAX_ENTRY_BYTES = 256 * 1024
"""Longer answers are not kept: a batch of look-ups must fit into memory."""
L1_BYTES = 32 * 1024 * 1024
L1_AGE_S = 60.0
_L1, _L2, _MISS = (metrics.LOOK_UPS.labels(tier) for tier in ("l1", "l2", "miss"))
_NOT_OURS = "give all processes that share the cache the same PENSTOCK_CACHE_SECRET; if they have it, look who else writes there"


@dataclass(slots=True)
class CacheCounts:
    """Since the start of the process. A look-up counts once: as L1 hit, L2 hit or miss.

    `unavailable`, `corrupt` and `forged` say why it missed.
    """

    l1_hits: int = 0
    l2_hits: int = 0
    misses: int = 0
    unavailable: int = 0
    corrupt: int = 0
    forged: int = 0
    stored: int = 0
    not_stored: int = 0


class AnswerCache:
    """`valkey` None: no second level, every look-up is a miss. Never raises for a store that is away."""

    def __init__(
        self,
        valkey: Valkey | None,
        codec: Codec[InferenceResponse],
        *,
        secret: bytes,
        l1_entries: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = CacheCounts()
        self._valkey = valkey
        self._codec = codec
        self._secret = secret
        self._recent: Recent[InferenceResponse] = Recent(clock, entries=l1_entries, max_bytes=L1_BYTES, max_age_s=L1_AGE_S)
        self._breaker = Breaker(clock)

    async def look_up(self, keys: Sequence[str]) -> list[InferenceResponse | None]:
        """The kept answers of the keys, in their order, None for a miss; one round trip for all that L1 does not have."""
        found = [self._recent.get(key) for key in keys]
        missing = [i for i, answer in enumerate(found) if answer is None]
        self.counts.l1_hits += len(keys) - len(missing)
        _L1.inc(len(keys) - len(missing))
        if missing:
            hits = self.counts.l2_hits
            for i, value in zip(missing, await self._get([keys[i] for i in missing]), strict=True):
                found[i] = self._decode(keys[i], value)
            _L2.inc(self.counts.l2_hits - hits)
            _MISS.inc(len(missing) - (self.counts.l2_hits - hits))
        return found

    async def store(self, answers: Iterable[tuple[InferenceResponse, bytes]]) -> None:
        """Keep those answers that may be kept, each given with its published bytes."""
        items = []
        for answer, value in answers:
            if answer.cache_key is None or answer.cache_ttl_s is None or not may_store(answer):
                continue
            if len(value) > MAX_ENTRY_BYTES:
                self.counts.not_stored += 1
                continue
            sealed = seal(self._secret, answer.cache_key, value)
            items.append((KEY_PREFIX + answer.cache_key, sealed, answer.cache_ttl_s))
        if not items:
            return
        if self._valkey is None or not self._breaker.allows():
            self.counts.not_stored += len(items)
            return
        try:
            await self._valkey.set_many(items)
        except StoreUnavailable as error:
            self._failed(error)
            self.counts.not_stored += len(items)
        else:
            self._succeeded()
            self.counts.stored += len(items)

    async def _get(self, keys: list[str]) -> list[bytes | None]:
        if self._valkey is None or not self._breaker.allows():
            self.counts.unavailable += len(keys)
            return [None] * len(keys)
        try:
            values = await self._valkey.get_many([KEY_PREFIX + key for key in keys])
        except StoreUnavailable as error:
            self._failed(error)
            self.counts.unavailable += len(keys)
            return [None] * len(keys)
        self._succeeded()
        return values

    def _decode(self, key: str, value: bytes | None) -> InferenceResponse | None:
        """A kept answer; None, counted, when the store holds something else under the key."""
        if value is None or len(value) > MAX_ENTRY_BYTES + OVERHEAD_BYTES:
            self.counts.misses += 1
            return None
        if (ours := unseal(self._secret, key, value)) is None:
            self.counts.misses += 1
            self.counts.forged += 1
            if self.counts.forged == 1:
                log.warning("cached_answer_not_ours", key=key, next_step=_NOT_OURS)
            return None
        try:
            answer = self._codec.decode(ours)
        except RecordError as error:
            self.counts.misses += 1
            self.counts.corrupt += 1
            log.warning("cached_answer_unreadable", key=key, reason=error.reason)
            return None
        self.counts.l2_hits += 1
        self._recent.put(key, answer, len(value))
        return answer

    def _failed(self, error: StoreUnavailable) -> None:
        was_open = self._breaker.open
        self._breaker.failed()
        if self._breaker.open and not was_open:
            log.warning("cache_unavailable", error=str(error), next_step="requests go on without it; check that Valkey answers")

    def _succeeded(self) -> None:
        if self._breaker.open:
            log.info("cache_back")
        self._breaker.succeeded()


@asynccontextmanager
async def open_cache(settings: Settings, serde: Serde) -> AsyncIterator[AnswerCache]:
    """The cache that the settings name, closed at the end. Raises SettingsError for an address that is none."""
    codec = serde.of(InferenceResponse)
    if settings.redis_url is None:
        log.info("cache_off", next_step="set REDIS_URL to keep answers")
        yield AnswerCache(None, codec, secret=b"", l1_entries=0)
        return
    async with Valkey(settings.redis_url, timeout_s=settings.cache_timeout_ms / 1000) as valkey:
        yield AnswerCache(valkey, codec, secret=cache_secret(settings), l1_entries=settings.l1_cache_entries)
