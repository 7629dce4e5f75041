"""Agent `cache-fill`: ai.responses -> Valkey. Complete successful answers are kept; all others are skipped.

Some are compared with an answer that was kept of a similar question: ai.responses -> ai.semantic-entries.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse
from schemas.serde import Serde
from streams.faust_host import Delivered
from streams.newcomers import Newcomers
from streams.runtime import Runtime
from streams.stores.valkey_cache import AnswerCache

log = structlog.get_logger(__name__)

Compare = Callable[[Iterable[InferenceResponse]], Awaitable[None]]


class CacheFill:
    """Handles batches of responses. A response that cannot be read is counted and skipped: it is only not kept.

    `compare` is given the answers once they are kept.
    """

    def __init__(self, cache: AnswerCache, serde: Serde, newcomers: Newcomers, compare: Compare | None = None) -> None:
        self._cache, self._newcomers, self._compare = cache, newcomers, compare
        self._codec = serde.of(InferenceResponse)
        self.unreadable = 0

    async def handle(self, batch: Sequence[Delivered]) -> None:
        await self._newcomers.meet(record.value for record in batch)
        answers = [read for record in batch if (read := self._read(record)) is not None]
        await self._cache.store(answers)
        if self._compare is not None:
            await self._compare(answer for answer, _ in answers)

    def _read(self, record: Delivered) -> tuple[InferenceResponse, bytes] | None:
        value = record.value
        if value is None:
            return None
        try:
            return self._codec.decode(value), value
        except RecordError as error:
            self.unreadable += 1
            log.warning("response_unreadable", reason=error.reason, partition=record.partition, offset=record.offset)
            return None


def open_fill(runtime: Runtime, cache: AnswerCache) -> CacheFill:
    """The agent; it compares answers where a tenant has opted in to the semantic cache, and keeps them all the same."""
    newcomers = Newcomers(runtime.serde.catalogue, runtime.settings)
    opted_in = any(t.semantic_error_bound is not None for t in runtime.catalogue.tenants.values())
    if runtime.settings.redis_url is None or not opted_in:
        return CacheFill(cache, runtime.serde, newcomers)
    # With the judge come numpy and the vectors of words: a fifth of what this process takes.
    from streams.agents.semantic_judge import SemanticJudge  # noqa: PLC0415
    from streams.embedding.wordllama import WordLlama  # noqa: PLC0415

    return CacheFill(cache, runtime.serde, newcomers, SemanticJudge(runtime, cache, WordLlama()).compare)
