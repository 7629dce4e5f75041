"""The entry that most likely asks the same, among those that the index found near."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from processors.cache.semantic.facts import facts
from processors.cache.semantic.guards import compatible
from processors.cache.semantic.question import prepare
from processors.cache.semantic.scorer import Scorer
from processors.embedding import Embedder, Vectors
from schemas.semantic import SemanticEntry

NEAR: Final = 8
"""How many entries to look at around a question; the calibration looked at as many."""
LEAST_COSINE: Final = 0.5
"""Entries further away are not looked at; none of the calibration's pairs below it came near a threshold."""


@dataclass(frozen=True, slots=True)
class Match:
    """`score`: the log odds that the entry asks the same, for `decide` to judge."""

    entry: SemanticEntry
    score: float


def match(text: str, vector: Vectors, entries: Sequence[SemanticEntry], scorer: Scorer, lexicon: Embedder) -> Match | None:
    """The best of the entries that the guards let pass, the first among equals; None when they let none pass.

    `entries` are those of the question's scope, of the same embedder as `vector`, nearest first.
    """
    asked = facts(text)
    vectors = [np.frombuffer(entry.vector, "<f4") for entry in entries]
    passed = [
        at
        for at, entry in enumerate(entries)
        if float(vectors[at] @ vector) >= LEAST_COSINE and compatible(asked, facts(entry.text)) is None
    ]
    if not passed:
        return None
    question, *kept = prepare(
        [text, *(entries[at].text for at in passed)], np.stack([vector, *(vectors[at] for at in passed)]), lexicon
    )
    scores = scorer.score([scorer.compare(question, each) for each in kept])
    best = int(scores.argmax())
    return Match(entries[passed[best]], float(scores[best]))
