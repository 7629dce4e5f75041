"""What a scorer sees of two questions. Every feature is symmetric: which of the two was asked first must not matter."""

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processors.cache.semantic.question import Question
from processors.embedding import Vectors

RARITY_BUCKETS = 1 << 14
_ASKING = frozenset(
    {
        "what",
        "why",
        "how",
        "when",
        "where",
        "who",
        "which",
        "is",
        "are",
        "do",
        "does",
        "did",
        "can",
        "should",
        "will",
        "would",
        "if",
    }
)

Rarity = NDArray[np.float32]
"""How rare a word is (the logarithm of its inverse document frequency), by hash bucket: a table that holds no words."""


@dataclass(frozen=True, slots=True, eq=False)
class PairFeatures:
    """`narrow`: similarities and counts, for trees. `wide`: products and distances of vectors, for a linear model."""

    narrow: NDArray[np.float32]
    wide: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Rest:
    """What one text says in words that the other does not have: rarities, how far from the other's words, summed vectors."""

    rarity: list[float]
    novelty: list[float]
    total: Vectors
    weighted: Vectors


def bucket(stemmed: str) -> int:
    """The row of a word in the table of rarities; stable across processes.

    >>> bucket("password")
    1749
    """
    return zlib.crc32(stemmed.encode()) % RARITY_BUCKETS


def compare(a: Question, b: Question, rarity: Rarity) -> PairFeatures:
    """The features of a pair that the guards let pass. The order of both arrays is part of the weights' version."""
    cosine = float(a.vector @ b.vector)
    mine, yours = set(a.stems), set(b.stems)
    weight = {word: float(rarity[bucket(word)]) for word in mine | yours}
    shared, union = sum(weight[word] for word in mine & yours), sum(weight.values())
    alike = (
        a.words @ b.words.T
        if len(a.stems) and len(b.stems)
        else np.zeros((max(1, len(a.stems)), max(1, len(b.stems))), np.float32)
    )
    best_a, best_b = alike.max(1), alike.max(0)
    rest_a, rest_b = _rest(a, yours, weight, best_a), _rest(b, mine, weight, best_b)
    content_a, content_b = set(a.facts.content), set(b.facts.content)
    lone_a = sum(word not in content_b for word in a.facts.content)
    lone_b = sum(word not in content_a for word in b.facts.content)
    length_a, length_b = len(a.stems), len(b.stems)
    narrow = [
        cosine,
        math.log(max(1 - cosine, 1e-4)),
        _share(shared, union),
        _share(len(mine & yours), len(mine | yours)),
        *_both(sum(rest_a.rarity), sum(rest_b.rarity)),
        *_ends(max(rest_a.rarity, default=0), max(rest_b.rarity, default=0)),
        *_both(sum(rest_a.novelty), sum(rest_b.novelty)),
        *_ends(max(rest_a.novelty, default=0), max(rest_b.novelty, default=0)),
        _cosine(rest_a.weighted, rest_b.weighted),
        float(bool(rest_a.rarity) and bool(rest_b.rarity)),
        _overlap(_triples(a), _triples(b)),
        _overlap(set(zip(a.stems, a.stems[1:], strict=False)), set(zip(b.stems, b.stems[1:], strict=False))),
        float(_asking(a) == _asking(b)),
        float(a.stems[:1] == b.stems[:1]),
        float(a.stems[-1:] == b.stems[-1:]),
        abs(length_a - length_b),
        _share(min(length_a, length_b), max(length_a, length_b)),
        length_a + length_b,
        *_both(lone_a, lone_b),
        min(lone_a, lone_b),
        _overlap(content_a, content_b),
        float(not lone_a and not lone_b),
        _share(_common_start(a.stems, b.stems), min(length_a, length_b)),
        *_ends(float(best_a.mean()), float(best_b.mean())),
        union,
        shared,
    ]
    wide = np.concatenate(
        [
            a.vector * b.vector,
            np.abs(a.vector - b.vector),
            rest_a.total + rest_b.total,
            np.abs(rest_a.total - rest_b.total),
            rest_a.total * rest_b.total,
        ]
    )
    return PairFeatures(np.array(narrow, np.float32), wide.astype(np.float32))


def _rest(one: Question, others: set[str], weight: dict[str, float], best: Vectors) -> _Rest:
    at = [row for row, word in enumerate(one.stems) if word not in others]
    rarity = [weight[one.stems[row]] for row in at]
    novelty = [w * (1 - float(best[row])) for row, w in zip(at, rarity, strict=True)]
    rows = one.words[at]
    return _Rest(rarity, novelty, rows.sum(0), np.array(rarity, np.float32) @ rows)


def _both(x: float, y: float) -> tuple[float, float]:
    return x + y, abs(x - y)


def _ends(x: float, y: float) -> tuple[float, float]:
    return (x, y) if x > y else (y, x)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _overlap(a: set[str] | set[tuple[str, str]], b: set[str] | set[tuple[str, str]]) -> float:
    return _share(len(a & b), len(a | b))


def _cosine(a: Vectors, b: Vectors) -> float:
    return _share(float(a @ b), float(np.linalg.norm(a) * np.linalg.norm(b)))


def _triples(one: Question) -> set[str]:
    text = " ".join(one.facts.words)
    return {text[at : at + 3] for at in range(len(text) - 2)}


def _asking(one: Question) -> str:
    return next((word for word in one.facts.words if word in _ASKING), "")


def _common_start(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
