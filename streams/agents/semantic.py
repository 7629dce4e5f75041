"""The semantic cache as intake uses it: an index in this process, fed by ai.semantic-entries, for the tenants that opted in."""

import contextlib
import math
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from time import monotonic
from typing import Any

import structlog

from processors.cache.semantic.decide import Ask, Serve, decide
from processors.cache.semantic.match import NEAR, Match, match
from processors.cache.semantic.scope import Scoped, scoped
from processors.cache.semantic.scorer import load
from processors.classify.decide import Classified
from processors.embedding import Embedder, Vectors
from processors.route.plan import Plan, choose
from schemas.deployments import TenantSettings
from schemas.errors import RecordError
from schemas.semantic import Comparison, SemanticEntry
from streams import clock, topics
from streams.embedding.choice import semantic_embedder
from streams.follower import Follower
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.stores.recent import Recent
from streams.stores.semantic_index import SemanticIndex
from streams.stores.semantic_shifts import Shifts

log = structlog.get_logger(__name__)

_SHIFTS, _SCOPES = 100_000, 10_000
_WITHOUT_ANSWER_S = 5.0
_VECTORS = 1_024
"""Texts whose vectors are remembered from the search until the question is published as an entry."""


@dataclass(frozen=True, slots=True)
class Similar:
    """A kept question that may ask the same; `similarity` is the estimated probability that it does."""

    cache_key: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Beside:
    """What is kept beside a question. `serves`: the answer may be given, within the tenant's bound on errors.

    `compare`: the question is asked, and its answer compared. `falls_back`: its policy takes the kept answer when no provider
    answers.
    """

    nearest: Similar
    serves: bool
    falls_back: bool
    compare: Comparison | None


class SemanticCache:
    """`embedder` is the one that classified the requests; the settings may name another for these vectors."""

    def __init__(self, runtime: Runtime, embedder: Embedder, plan: Plan) -> None:
        settings = runtime.settings
        self._plan = plan
        self._bounds = _bounds(runtime)
        self._words = embedder
        self._embedder, scorer = semantic_embedder(settings, embedder)
        self._codec = runtime.serde.of(SemanticEntry)
        self._scorer = load(scorer)
        self._threshold = cache(self._scorer.crowd.threshold)
        self._embedded = lru_cache(_VECTORS)(self._embed)
        self._index = SemanticIndex(
            self._embedder.name, self._embedder.dimensions, entries=settings.semantic_cache_entries, clock=clock.now
        )
        self._shifts = Shifts(entries=_SHIFTS, scopes=_SCOPES)
        self._without_answer: Recent[None] = Recent(monotonic, entries=10_000, max_bytes=10_000, max_age_s=_WITHOUT_ANSWER_S)
        self._follower = Follower(runtime, "semantic cache", {topics.SEMANTIC: None}, self._apply, started_over=self._start_over)

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["SemanticCache"]:
        """Follow the topic in the background."""
        async with self._follower.following():
            yield self

    def use(self, plan: Plan) -> None:
        """Go by another plan's fallbacks from here on."""
        self._plan = plan

    def beside(self, classified: Classified, cache_key: str) -> Beside | None:
        """The kept question that most likely asks the same; not itself, under `cache_key`. None: there is none.

        Nothing that a request holds makes it raise.
        """
        try:
            return self._beside(classified, cache_key)
        except Exception:
            # As in Arrivals.read: one record must not stop all that follow it. It is asked as if nothing were kept.
            log.exception("semantic_defect", request_id=classified.request.request_id)
            return None

    def without_answer(self, cache_key: str) -> None:
        """Leave a question out for a while: its answer is not there yet, or no more, and must not hide others'."""
        self._without_answer.put(cache_key, None, 1)

    def entry(self, classified: Classified, cache_key: str, ttl_s: int, now: datetime) -> Outgoing | None:
        """The record that lets other wordings meet this question's answer; None when only the same words may."""
        where = self._scope_of(classified)
        if where is None:
            return None
        record = SemanticEntry(
            cache_key=cache_key,
            scope=where.scope,
            tenant=classified.request.tenant,
            text=where.text,
            vector=self._vector(classified, where).astype("<f4").tobytes(),
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

    def _vector(self, classified: Classified, where: Scoped) -> Vectors:
        """What classifying has embedded is that text, and all of it."""
        if self._embedder is self._words and classified.vector is not None:
            return classified.vector
        return self._embedded(where.text)

    def _embed(self, text: str) -> Vectors:
        row: Vectors = self._embedder.embed([text])[0]
        return row

    def _beside(self, classified: Classified, cache_key: str) -> Beside | None:
        where = self._scope_of(classified)
        found = None if where is None else self._nearest(classified, where, cache_key)
        if where is None or found is None:
            return None
        kept, request = found.entry.cache_key, classified.request
        entry, of_scope = self._shifts.of(kept, where.scope)
        draw = zlib.crc32(request.request_id.encode()) / 2**32
        answer = decide(entry, of_scope, found.score, threshold=self._threshold(self._bounds[request.tenant]), draw=draw)
        asked = isinstance(answer, Ask) and answer.compare
        return Beside(
            nearest=Similar(kept, 1 / (1 + math.exp(-found.score))),
            serves=isinstance(answer, Serve),
            falls_back=choose(self._plan, classified).by.policy.fallbacks.similar,
            compare=Comparison(kept, where.scope, found.score, self._embedder.name) if asked else None,
        )

    def _nearest(self, classified: Classified, where: Scoped, cache_key: str) -> Match | None:
        vector = self._vector(classified, where)
        near = [
            each.entry
            for each in self._index.near(where.scope, vector, 2 * NEAR)
            if each.entry.cache_key != cache_key and not self._without_answer.has(each.entry.cache_key)
        ]
        return match(where.text, vector, near[:NEAR], self._scorer, self._words) if near else None

    def _apply(self, record: Any) -> None:
        if record.value is None:
            self._drop((record.key or b"").decode(errors="replace"))
            return
        try:
            self._learn(self._codec.decode(record.value))
        except RecordError as error:
            log.warning("semantic_entry_unreadable", reason=error.reason, partition=record.partition, offset=record.offset)

    def _learn(self, entry: SemanticEntry) -> None:
        """A question with a new answer, or what a comparison says of the one before."""
        if entry.compared is None:
            self._shifts.drop(entry.cache_key)
            self._index.put(entry)
        elif entry.embedder == self._embedder.name:
            self._shifts.learn(entry.cache_key, entry.scope, entry.compared)

    def _drop(self, cache_key: str) -> None:
        self._shifts.drop(cache_key)
        self._index.drop(cache_key)

    def _start_over(self) -> None:
        self._shifts.clear()
        self._index.clear()


def _bounds(runtime: Runtime) -> dict[str, float]:
    """The bounds on errors of the tenants that opted in; without an answer cache there are none."""
    tenants: dict[str, TenantSettings] = {} if runtime.settings.redis_url is None else runtime.catalogue.tenants
    return {name: t.semantic_error_bound for name, t in tenants.items() if t.semantic_error_bound is not None}


@contextlib.asynccontextmanager
async def open_semantic(runtime: Runtime, embedder: Embedder, plan: Plan) -> AsyncIterator[SemanticCache | None]:
    """The semantic cache; None when no tenant has opted in, or when there is no answer cache."""
    if not _bounds(runtime):
        yield None
        return
    async with SemanticCache(runtime, embedder, plan).following() as semantic:
        yield semantic
