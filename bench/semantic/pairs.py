"""Question pairs from a file, their vectors, and a stream of them: the first question of each is kept, the second asked."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.semantic.questions import Questions, questions
from processors.cache.semantic.guards import compatible
from processors.cache.semantic.match import LEAST_COSINE, NEAR
from processors.cache.semantic.question import Question
from processors.cache.semantic.scorer import Scorer, part_of
from processors.embedding import Embedder, Vectors
from streams.embedding.wordllama import WordLlama

PARTS = 5
BLOCK = 512
RIGHT, WRONG, UNLABELLED = 0, 1, 2
UNLABELLED_WRONG = 0.4
"""The share of answers to unrelated questions that count as wrong. Most ask the same and were never put side by side: read by
hand, 11 of 45 were wrong (wordllama) and 8 of 45 (MiniLM); 0.4 is the upper end of what 11 of 45 leaves possible."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """`a` and `b` index `questions`; `group` says which questions are known to ask the same."""

    questions: Questions
    vectors: Vectors
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    same: NDArray[np.bool_]
    part: NDArray[np.intp]
    group: NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What the index and the guards let through, nearest first: numbers of pairs, whose `b` asks and whose `a` is kept.

    `score` is that of the model which has not seen the query's part.
    """

    query: NDArray[np.intp]
    entry: NDArray[np.intp]
    score: NDArray[np.float64]


def embedder_of(name: str) -> Embedder:
    if name == "wordllama":
        return WordLlama()
    from streams.embedding.minilm import MiniLM  # noqa: PLC0415 - an extra, imported when it is asked for

    return MiniLM()


def read(file: Path, name: str, *, rows: int | None, vectors: Path | None) -> Pairs:
    """The pairs of a file of JSON lines with a, b and same. `vectors` keeps the embeddings of the texts between runs."""
    with file.open(encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines][:rows]
    texts = sorted({text for pair in pairs for text in (pair["a"], pair["b"])})
    at = {text: row for row, text in enumerate(texts)}
    found = np.load(vectors) if vectors is not None and vectors.exists() else embedder_of(name).embed(texts)
    if len(found) != len(texts):
        raise SystemExit(f"{vectors} holds {len(found)} vectors for {len(texts)} texts; remove it")
    if vectors is not None and not vectors.exists():
        np.save(vectors, found)
    a, b = (np.array([at[pair[side]] for pair in pairs]) for side in "ab")
    same = np.array([bool(pair["same"]) for pair in pairs])
    return Pairs(
        questions=questions(texts, found, WordLlama()),
        vectors=found,
        a=a,
        b=b,
        same=same,
        part=np.array([part_of(pair["a"], pair["b"], PARTS) for pair in pairs]),
        group=_groups(len(texts), a[same], b[same]),
    )


def candidates(pairs: Pairs, scorer: Scorer) -> Candidates:
    """The nearest first questions of every second question, those that the guards let pass."""
    found: list[Candidates] = []
    kept = pairs.vectors[pairs.a]
    for start in range(0, len(pairs.b), BLOCK):
        cosines = pairs.vectors[pairs.b[start : start + BLOCK]] @ kept.T
        near = np.argpartition(-cosines, min(NEAR, len(kept)) - 1, axis=1)[:, :NEAR]
        passed = [
            (start + row, int(column))
            for row, columns in enumerate(near)
            for column in columns[np.argsort(-cosines[row, columns], kind="stable")]
            if cosines[row, column] >= LEAST_COSINE and _passes(pairs, start + row, column)
        ]
        found.append(score(pairs, scorer, passed))
    return Candidates(*(np.concatenate([getattr(each, name) for each in found]) for name in Candidates.__slots__))


def partners(pairs: Pairs, scorer: Scorer) -> Candidates:
    """The first question of each pair as the only candidate of the second, if the guards let it pass."""
    return score(pairs, scorer, [(at, at) for at in compatible_partners(pairs)])


def compatible_partners(pairs: Pairs) -> list[int]:
    return [at for at in range(len(pairs.a)) if _passes(pairs, at, at)]


def score(pairs: Pairs, scorer: Scorer, passed: list[tuple[int, int]]) -> Candidates:
    query, entry = np.array(passed, np.intp).reshape(-1, 2).T
    scores = np.zeros(len(passed))
    for at in range(0, len(passed), BLOCK):
        block = passed[at : at + BLOCK]
        features = [scorer.compare(_asked(pairs, asked), _kept(pairs, held)) for asked, held in block]
        every = scorer.scores(features)
        scores[at : at + BLOCK] = every[pairs.part[query[at : at + BLOCK]], np.arange(len(block))]
    return Candidates(query, entry, scores)


def best(pairs: Pairs, found: Candidates) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """The highest score of each query, minus infinity without a candidate, and the entry that has it."""
    scores, entry = np.full(len(pairs.a), -np.inf), np.arange(len(pairs.a))
    for at in np.argsort(found.score, kind="stable"):
        scores[found.query[at]], entry[found.query[at]] = found.score[at], found.entry[at]
    return scores, entry


def verdicts(pairs: Pairs, query: NDArray[np.intp], entry: NDArray[np.intp]) -> NDArray[np.int8]:
    """RIGHT or WRONG by the label of the pair, RIGHT too where a chain of labels says so, UNLABELLED for all else."""
    chained = pairs.group[pairs.b[query]] == pairs.group[pairs.a[entry]]
    labelled = np.where(pairs.same[query], RIGHT, WRONG)
    return np.where(query == entry, labelled, np.where(chained, RIGHT, UNLABELLED)).astype(np.int8)


def _passes(pairs: Pairs, asked: int, kept: int) -> bool:
    return compatible(pairs.questions.facts[pairs.b[asked]], pairs.questions.facts[pairs.a[kept]]) is None


def _asked(pairs: Pairs, at: int) -> Question:
    return pairs.questions[pairs.b[at]]


def _kept(pairs: Pairs, at: int) -> Question:
    return pairs.questions[pairs.a[at]]


def _groups(count: int, a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.intp]:
    """The sets of texts that a chain of pairs says to be the same."""
    parent = np.arange(count)

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for x, y in zip(a, b, strict=True):
        parent[root(int(x))] = root(int(y))
    return np.array([root(at) for at in range(count)])
