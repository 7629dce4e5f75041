"""Embeddings that depend on the words of a text: texts that share words are near each other.

Each word turns on a few dimensions, chosen by its SHA-256 (the hashing trick: Weinberger et al., 2009); the vector is scaled
to length one. No model, but enough for a nearest-neighbour search to find what it should.
"""

import hashlib
import math
import re
import struct
from collections.abc import Iterator
from functools import lru_cache

_WORD = re.compile(r"\w+")
_DIMENSIONS_PER_WORD = 8
_HASH = struct.Struct(f"<{_DIMENSIONS_PER_WORD}I")
MAX_DIMENSIONS = 8192


@lru_cache(maxsize=16_384)
def _marks(word: str) -> tuple[int, ...]:
    return _HASH.unpack(hashlib.sha256(word.encode()).digest())


def _words(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    return iter(words or [text])


def embedding(text: str, dimensions: int) -> list[float]:
    """A vector of length one.

    >>> near, far = embedding("a red cat", 64), embedding("tax law", 64)
    >>> sum(a * b for a, b in zip(embedding("a red dog", 64), near)) > sum(a * b for a, b in zip(near, far))
    True
    """
    vector = [0.0] * dimensions
    for word in _words(text):
        for mark in _marks(word):
            vector[mark % dimensions] += 1.0 if mark & 0x8000_0000 else -1.0
    length = math.sqrt(sum(x * x for x in vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return [x / length for x in vector]
