"""The index in process: bounded, and exact about who may meet whose entries."""

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from schemas.semantic import SemanticEntry
from streams.stores import semantic_index
from streams.stores.semantic_index import SemanticIndex

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ACME, GLOBEX = b"a" * 32, b"g" * 32
DIMENSIONS = 16


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def vectors(count: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def entry(key: str, vector: np.ndarray, scope: bytes = ACME, *, ttl_s: int = 60, embedder: str = "e1") -> SemanticEntry:
    data = vector.astype("<f4").tobytes()
    return SemanticEntry(key, scope, "tenant", f"text of {key}", data, embedder, NOON, NOON + timedelta(seconds=ttl_s))


def index(entries: int = 100, clock: Clock | None = None) -> SemanticIndex:
    return SemanticIndex("e1", DIMENSIONS, entries=entries, clock=clock or Clock())


def keys(found: list[semantic_index.Near]) -> list[str]:
    return [near.entry.cache_key for near in found]


def test_the_nearest_comes_first_with_its_cosine():
    rows, held = vectors(50), index()
    for at, row in enumerate(rows):
        held.put(entry(f"k{at}", row))
    found = held.near(ACME, rows[7], 5)
    expected = np.argsort(-(rows @ rows[7]))[:5]
    assert keys(found) == [f"k{at}" for at in expected]
    assert found[0].cosine == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("exact_below", [2000, 0], ids=["exact", "graph"])
def test_an_entry_of_another_scope_never_comes_out(monkeypatch: pytest.MonkeyPatch, exact_below: int):
    monkeypatch.setattr(semantic_index, "EXACT_BELOW", exact_below)
    rows, held = vectors(200), index(1000)
    for at, row in enumerate(rows):
        held.put(entry(f"acme{at}", row, ACME))
        held.put(entry(f"globex{at}", row, GLOBEX))
    for row in rows:
        assert all(key.startswith("globex") for key in keys(held.near(GLOBEX, row, 10)))
    assert held.near(b"n" * 32, rows[0], 10) == []


def test_a_scope_that_has_grown_is_searched_by_a_graph_and_loses_little(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(semantic_index, "EXACT_BELOW", 100)
    rows, held = vectors(1000), index(2000)
    for at, row in enumerate(rows):
        held.put(entry(f"k{at}", row))
    for at in range(0, 1000, 2):
        held.drop(f"k{at}")
    queries = vectors(100, seed=1)
    odd = np.arange(1, 1000, 2)
    right = sum(keys(held.near(ACME, query, 1)) == [f"k{odd[np.argmax(rows[odd] @ query)]}"] for query in queries)
    assert right >= 95
    assert len(held) == 500


def test_over_its_bound_the_oldest_entry_goes():
    rows, held = vectors(10), index(entries=4)
    for at, row in enumerate(rows):
        held.put(entry(f"k{at}", row))
    assert len(held) == 4
    assert sorted(keys(held.near(ACME, rows[0], 10))) == ["k6", "k7", "k8", "k9"]
    assert held.counts.evicted == 6


def test_an_entry_put_again_is_replaced_and_counts_as_new():
    rows, held = vectors(4), index(entries=2)
    held.put(entry("first", rows[0]))
    held.put(entry("second", rows[1]))
    held.put(entry("first", rows[2], GLOBEX))
    held.put(entry("third", rows[3]))
    assert keys(held.near(GLOBEX, rows[2], 5)) == ["first"]
    assert keys(held.near(ACME, rows[0], 5)) == ["third"]


def test_what_is_over_is_not_met_and_not_held():
    clock = Clock()
    rows, held = vectors(3), index(clock=clock)
    held.put(entry("short", rows[0], ttl_s=10))
    held.put(entry("long", rows[1], ttl_s=100))
    held.put(entry("over", rows[2], ttl_s=0))
    assert len(held) == 2
    clock.now += timedelta(seconds=10)
    assert keys(held.near(ACME, rows[0], 5)) == ["long"]
    assert (len(held), held.counts.expired) == (1, 1)


def test_entries_put_again_and_again_leave_nothing_behind():
    rows, held = vectors(1), index(entries=10)
    for ttl_s in range(1, 2000):
        held.put(entry("same", rows[0], ttl_s=ttl_s))
    assert len(held) == 1
    assert len(held._expiring) < 100


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param(entry("k", vectors(1)[0], embedder="e2"), id="another embedder"),
        pytest.param(entry("k", vectors(1)[0][:8]), id="fewer dimensions"),
    ],
)
def test_vectors_that_do_not_compare_are_counted_and_left_out(foreign: SemanticEntry):
    held = index()
    held.put(entry("k", vectors(1)[0]))
    held.put(foreign)
    assert (len(held), held.counts.foreign) == (0, 1)


def test_a_text_without_a_known_word_is_near_to_nothing():
    nothing, held = np.zeros(DIMENSIONS, np.float32), index()
    held.put(entry("empty", nothing))
    held.put(entry("k", vectors(1)[0]))
    assert len(held) == 1
    assert held.near(ACME, nothing, 5) == []


def test_dropping_what_is_not_there_changes_nothing():
    held = index()
    held.drop("nobody")
    held.put(entry("k", vectors(1)[0]))
    held.drop("k")
    held.drop("k")
    assert len(held) == 0
    assert held.near(ACME, vectors(1)[0], 5) == []


def test_no_thread_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(semantic_index, "EXACT_BELOW", 10)
    before = threading.active_count()
    held = index()
    for at, row in enumerate(vectors(50)):
        held.put(entry(f"k{at}", row))
    held.near(ACME, vectors(1)[0], 3)
    assert threading.active_count() == before


def test_a_full_graph_that_turns_over_again_and_again_holds_the_newest(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(semantic_index, "EXACT_BELOW", 50)
    rows, held = vectors(2000), index(entries=200)
    for at, row in enumerate(rows):
        held.put(entry(f"k{at}", row))
    assert len(held) == 200
    right = sum(keys(held.near(ACME, rows[at], 1)) == [f"k{at}"] for at in range(1800, 2000))
    assert right >= 195
    assert all(int(key[1:]) >= 1800 for row in rows[:100] for key in keys(held.near(ACME, row, 5)))
