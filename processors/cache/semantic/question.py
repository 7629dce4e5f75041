"""A text made ready to be compared with others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processors.cache.semantic.facts import Facts, facts, stem
from processors.embedding import Embedder, Vectors

MAX_CHARACTERS = 2000
"""Longer texts are not compared: a single changed word would drown in them."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """`vector` is that of the whole text, `words` has a row for each of `facts.words`, `stems` their stems."""

    facts: Facts
    stems: tuple[str, ...]
    vector: Vectors
    words: Vectors


def prepare(texts: Sequence[str], vectors: Vectors, lexicon: Embedder) -> list[Question]:
    """The questions of texts whose vectors are known; `lexicon` embeds their words, all in one batch.

    The lexicon is the cheap embedder whatever embedder made `vectors`: a word alone needs no context to look at.
    """
    found = [facts(text) for text in texts]
    vocabulary = sorted({word for each in found for word in each.words})
    rows = lexicon.embed(vocabulary) if vocabulary else np.zeros((0, lexicon.dimensions), np.float32)
    at = {word: row for row, word in enumerate(vocabulary)}
    return [
        Question(each, tuple(map(stem, each.words)), vector, rows[[at[word] for word in each.words]])
        for each, vector in zip(found, vectors, strict=True)
    ]
