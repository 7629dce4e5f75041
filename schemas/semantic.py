"""What feeds every process's semantic index: SemanticEntry."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SemanticEntry:
    """One kept answer that may be met under other wordings. The topic is compacted; its key is `cache_key`.

    `scope` is the digest of all that must be equal (processors.cache.semantic.scope). `text` is what was asked, at most
    `processors.cache.semantic.question.MAX_CHARACTERS` long: facts and features are made of it, so that a newer scorer reads
    older entries. `vector` is float32, little-endian, of the embedder that `embedder` names. The answer itself stays where
    exact answers are kept.
    """

    cache_key: str
    scope: bytes
    tenant: str
    text: str
    vector: bytes
    embedder: str
    stored_at: datetime
    expires_at: datetime
