"""The entries of the semantic cache, searchable by vector, in the memory of one process.

Every scope has an index of its own, so a search cannot meet an entry of another tenant, model or system prompt. A scope with
few entries is searched exactly, a larger one by a graph (HNSW of usearch). The whole is bounded: the oldest entry goes first.
It starts no thread and keeps no file: what feeds it is a compacted topic, read again at the start.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from usearch.index import Index

from processors.embedding import Vectors
from schemas.semantic import SemanticEntry

EXACT_BELOW = 2000
"""Entries of a scope up to which every vector is looked at: faster than a graph, and misses nothing."""
_EXPANSION = 128
"""How widely the graph is searched, for building and for finding: 99 of 100 nearest are found at 256 dimensions."""


@dataclass(frozen=True, slots=True)
class Near:
    """An entry and how near it is: the cosine, 1 for the same direction."""

    entry: SemanticEntry
    cosine: float


@dataclass(slots=True)
class IndexCounts:
    """Since the start of the process; `foreign` are entries of another embedder, which do not compare."""

    evicted: int = 0
    expired: int = 0
    foreign: int = 0


class SemanticIndex:
    """`embedder` and `dimensions` say which vectors compare; entries of others are counted and left out."""

    def __init__(self, embedder: str, dimensions: int, *, entries: int, clock: Callable[[], datetime]) -> None:
        self.counts = IndexCounts()
        self._embedder = embedder
        self._dimensions = dimensions
        self._entries = entries
        self._clock = clock
        self._scopes: dict[bytes, _Scope] = {}
        self._label_of: OrderedDict[str, int] = OrderedDict()
        self._held: dict[int, SemanticEntry] = {}
        self._expiring: list[tuple[datetime, int]] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._held)

    def put(self, entry: SemanticEntry) -> None:
        """Hold the entry; one of the same key is replaced and counts as new. An entry that is over is none."""
        self.drop(entry.cache_key)
        if entry.embedder != self._embedder or len(entry.vector) != 4 * self._dimensions:
            self.counts.foreign += 1
            return
        if entry.expires_at <= self._clock():
            return
        vector = np.frombuffer(entry.vector, "<f4")
        if not vector.any():
            return
        self._forget_expired()
        while self._held and len(self._held) >= self._entries:
            self._remove(next(iter(self._label_of)))
            self.counts.evicted += 1
        label, self._next = self._next, self._next + 1
        self._label_of[entry.cache_key] = label
        self._held[label] = entry
        heapq.heappush(self._expiring, (entry.expires_at, label))
        self._scopes.setdefault(entry.scope, _Scope(self._dimensions)).add(label, vector)

    def clear(self) -> None:
        """Forget everything."""
        for cache_key in list(self._label_of):
            self._remove(cache_key)

    def drop(self, cache_key: str) -> None:
        """Forget the entry of this key, if there is one."""
        if cache_key in self._label_of:
            self._remove(cache_key)

    def near(self, scope: bytes, vector: Vectors, k: int) -> list[Near]:
        """The up to `k` nearest entries of the scope that are not over, nearest first, the older one first among equals."""
        self._forget_expired()
        held = self._scopes.get(scope)
        if held is None or not vector.any():
            return []
        return [Near(self._held[label], cosine) for label, cosine in held.near(vector, k)]

    def _remove(self, cache_key: str) -> None:
        label = self._label_of.pop(cache_key)
        scope = self._held.pop(label).scope
        held = self._scopes[scope]
        held.remove(label)
        if not len(held):
            del self._scopes[scope]

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now:
            _, label = heapq.heappop(self._expiring)
            if label in self._held:
                self._remove(self._held[label].cache_key)
                self.counts.expired += 1
        if len(self._expiring) > 2 * len(self._held) + 64:
            self._expiring = [(entry.expires_at, label) for label, entry in self._held.items()]
            heapq.heapify(self._expiring)


class _Scope:
    """The vectors of one scope: rows of a matrix first, a graph from `EXACT_BELOW` on."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._rows: Vectors = np.zeros((8, dimensions), np.float32)
        self._labels: list[int] = []
        self._row_of: dict[int, int] = {}
        self._graph: Index | None = None

    def __len__(self) -> int:
        return len(self._row_of) if self._graph is None else len(self._graph)

    def add(self, label: int, vector: Vectors) -> None:
        if self._graph is not None:
            self._graph.add(label, vector, threads=1)
            return
        if len(self._labels) == EXACT_BELOW:
            self._graph = self._as_graph()
            self._graph.add(label, vector, threads=1)
            return
        if len(self._labels) == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[len(self._labels)] = vector
        self._row_of[label] = len(self._labels)
        self._labels.append(label)

    def remove(self, label: int) -> None:
        """The last row takes the place of the removed one."""
        if self._graph is not None:
            self._graph.remove(label, compact=False, threads=1)
            return
        row, last = self._row_of.pop(label), self._labels.pop()
        if last != label:
            self._rows[row] = self._rows[len(self._labels)]
            self._labels[row], self._row_of[last] = last, row

    def near(self, vector: Vectors, k: int) -> list[tuple[int, float]]:
        if self._graph is not None:
            found = self._graph.search(vector, k, threads=1)
            pairs = [(int(label), 1 - float(distance)) for label, distance in zip(found.keys, found.distances, strict=True)]
        else:
            cosines = self._rows[: len(self._labels)] @ vector
            rows = np.argpartition(-cosines, k - 1)[:k] if k < len(cosines) else np.arange(len(cosines))
            pairs = [(self._labels[row], float(cosines[row])) for row in rows]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def _as_graph(self) -> Index:
        graph = Index(ndim=self._dimensions, metric="ip", dtype="f32", expansion_add=_EXPANSION, expansion_search=_EXPANSION)
        graph.add(np.array(self._labels, np.uint64), self._rows[: len(self._labels)], threads=1)
        self._rows, self._labels, self._row_of = self._rows[:0], [], {}
        return graph
