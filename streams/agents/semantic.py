"""The semantic cache as intake uses it: an index in this process, fed by ai.semantic-entries, for the tenants that opted in."""

import contextlib
import math
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from time import monotonic
from typing import Any

import structlog

from processors.cache.semantic.decide import Serve, decide
from processors.cache.semantic.match import NEAR, match
from processors.cache.semantic.scope import Scoped, scoped
from processors.cache.semantic.scorer import load
from processors.classify.decide import Classified
from processors.embedding import Embedder
from schemas.deployments import TenantSettings
from schemas.errors import RecordError
from schemas.semantic import SemanticEntry
from streams import clock, topics
from streams.agents.health_follow import Follower
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.stores.recent import Recent
from streams.stores.semantic_index import SemanticIndex
from streams.stores.semantic_shifts import Shifts

log = structlog.get_logger(__name__)

SCORER = "wordllama"
_SHIFTS, _SCOPES = 100_000, 10_000
_WITHOUT_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class Similar:
    """A kept question whose answer may be given; `similarity` is the estimated probability that it asks the same."""

    cache_key: str
    similarity: float


class SemanticCache:
    """`tenants` without an error bound never meet another wording's answer."""

    def __init__(self, runtime: Runtime, embedder: Embedder, tenants: Mapping[str, TenantSettings]) -> None:
        settings = runtime.settings
        self._bounds = {name: t.semantic_error_bound for name, t in tenants.items() if t.semantic_error_bound is not None}
        self._embedder, self._codec = embedder, runtime.serde.of(SemanticEntry)
        self._scorer = load(SCORER)
        self._threshold = cache(self._scorer.crowd.threshold)
        self._index = SemanticIndex(embedder.name, embedder.dimensions, entries=settings.semantic_cache_entries, clock=clock.now)
        self._shifts = Shifts(entries=_SHIFTS, scopes=_SCOPES)
        self._without_answer: Recent[None] = Recent(monotonic, entries=10_000, max_bytes=10_000, max_age_s=_WITHOUT_ANSWER_S)
        self._follower = Follower(runtime, "semantic cache", {topics.SEMANTIC: None}, self._apply, started_over=self._start_over)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["SemanticCache"]:
        """Follow the topic in the background."""
        async with self._follower.following():
            yield self

    def similar(self, classified: Classified, cache_key: str) -> Similar | None:
        """The kept question that asks the same, within the tenant's bound on errors; not itself, under `cache_key`.

        Nothing that a request holds makes it raise.
        """
        try:
            return self._similar(classified, cache_key)
        except Exception:
            # As in Arrivals.read: one record must not stop all that follow it. It is asked as if nothing were kept.
            log.exception("semantic_defect", request_id=classified.request.request_id)
            return None

    def without_answer(self, cache_key: str) -> None:
        """Leave a question out for a while: its answer is not there yet, or no more, and must not hide others'."""
        self._without_answer.put(cache_key, None, 1)

    def entry(self, classified: Classified, cache_key: str, ttl_s: int, now: datetime) -> Outgoing | None:
        """The record that lets other wordings meet this question's answer; None when only the same words may."""
        where, vector = self._scope_of(classified), classified.vector
        if where is None or vector is None:
            return None
        record = SemanticEntry(
            cache_key=cache_key,
            scope=where.scope,
            tenant=classified.request.tenant,
            text=where.text,
            vector=vector.astype("<f4").tobytes(),
            embedder=self._embedder.name,
            stored_at=now,
            expires_at=now + timedelta(seconds=ttl_s),
        )
        return Outgoing(topics.SEMANTIC, cache_key, self._codec.encode(record))

    def _scope_of(self, classified: Classified) -> Scoped | None:
        """Where the request may meet another wording; None: its tenant has not opted in, or only the same words may answer."""
        if classified.request.tenant not in self._bounds or classified.vector is None or not classified.whole:
            return None
        return scoped(classified.request)

    def _similar(self, classified: Classified, cache_key: str) -> Similar | None:
        where, vector = self._scope_of(classified), classified.vector
        if where is None or vector is None:
            return None
        near = [
            each.entry
            for each in self._index.near(where.scope, vector, 2 * NEAR)
            if each.entry.cache_key != cache_key and not self._without_answer.has(each.entry.cache_key)
        ]
        found = match(where.text, vector, near[:NEAR], self._scorer, self._embedder) if near else None
        if found is None:
            return None
        entry, of_scope = self._shifts.of(found.entry.cache_key, where.scope)
        threshold = self._threshold(self._bounds[classified.request.tenant])
        draw = zlib.crc32(classified.request.request_id.encode()) / 2**32
        if not isinstance(decide(entry, of_scope, found.score, threshold=threshold, draw=draw), Serve):
            return None
        return Similar(found.entry.cache_key, 1 / (1 + math.exp(-found.score)))

    def _apply(self, record: Any) -> None:
        if record.value is None:
            self._index.drop((record.key or b"").decode(errors="replace"))
            return
        try:
            self._index.put(self._codec.decode(record.value))
        except RecordError as error:
            log.warning("semantic_entry_unreadable", reason=error.reason, partition=record.partition, offset=record.offset)

    def _start_over(self) -> None:
        self._index.clear()


@contextlib.asynccontextmanager
async def open_semantic(runtime: Runtime, embedder: Embedder) -> AsyncIterator[SemanticCache | None]:
    """The semantic cache; None when no tenant has opted in, or when there is no answer cache."""
    tenants = runtime.catalogue.tenants
    if runtime.settings.redis_url is None or all(t.semantic_error_bound is None for t in tenants.values()):
        yield None
        return
    async with SemanticCache(runtime, embedder, tenants).following() as semantic:
        yield semantic
