"""What feeds every process's semantic index, and what it learns: SemanticEntry. And what is to be compared, on its way."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Agreement(StrEnum):
    """What two answers say beside each other: `same` is proven, `alike` and `different` are judged."""

    UNKNOWN = "unknown"
    SAME = "same"
    ALIKE = "alike"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Comparison:
    """To do once the request has an answer of its own: compare it with the one kept under `cache_key`.

    `score`: the log odds, when the request was routed, that the kept question of this `scope` asks the same. `embedder` made the
    vectors that the score is of.
    """

    cache_key: str
    scope: bytes
    score: float
    embedder: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The outcome, for the request that was asked all the same."""

    request_id: str
    score: float
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class SemanticEntry:
    """One kept answer that may be met under other wordings. The topic is compacted; its key is `cache_key`.

    `scope` is the digest of all that must be equal (processors.cache.semantic.scope). `text` is what was asked, at most
    `processors.cache.semantic.question.MAX_CHARACTERS` long: facts and features are made of it, so that a newer scorer reads
    older entries. `vector` is float32, little-endian, of the embedder that `embedder` names. The answer itself stays where
    exact answers are kept.

    With `compared` the record tells what was learnt of the entry of this `cache_key`, and `text` and `vector` are empty. It has a
    key of its own, and lies behind the entry in the entry's partition.
    """

    cache_key: str
    scope: bytes
    tenant: str
    text: str
    vector: bytes
    embedder: str
    stored_at: datetime
    expires_at: datetime
    compared: Compared | None = None
