"""What is learnt from: a prompt, and how well either model answered it."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """`weak` and `strong` are the quality of either model's answer, 0 (wrong) to 1 (right). `topic` groups prompts of one kind.

    Both answers must have been judged: a prompt of which only one is known says nothing of the gain.
    """

    text: str
    topic: str
    weak: float
    strong: float


def digest(row: Outcome) -> bytes:
    """The same for the same row, on every machine."""
    content = hashlib.sha256()
    for part in (row.text.encode(), row.topic.encode(), struct.pack(">dd", row.weak, row.strong)):
        content.update(len(part).to_bytes(8) + part)
    return content.digest()


def digest_of_all(rows: Iterable[Outcome]) -> str:
    """The same for the same rows in any order."""
    return hashlib.sha256(b"".join(sorted(map(digest, rows)))).hexdigest()


def fold(key: str | bytes, folds: int, *, salt: str = "") -> int:
    """The part that a row (by its digest) or a topic (by its name) falls into: by hash, so that a row stays in its part."""
    content = key.encode() if isinstance(key, str) else key
    return int.from_bytes(hashlib.sha256(salt.encode() + b"\0" + content).digest()[:8]) % folds


def folds_of_topics(topics: Iterable[str], folds: int, *, salt: str = "") -> dict[str, int]:
    """Topic -> part: in the order of their hashes, dealt round, so that no part is empty where there are topics enough."""
    ordered = sorted(set(topics), key=lambda topic: hashlib.sha256(f"{salt}\0{topic}".encode()).digest())
    return {topic: i % folds for i, topic in enumerate(ordered)}
