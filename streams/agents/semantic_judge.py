"""Judges kept answers beside the answers of questions that were asked all the same; what comes out teaches every intake."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import structlog

from processors.cache.answer import may_store
from processors.cache.semantic.judge import judge
from processors.embedding import Embedder
from schemas.outcomes import InferenceResponse
from schemas.semantic import Compared, Comparison, SemanticEntry
from streams import clock, topics
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.stores.valkey_cache import AnswerCache

log = structlog.get_logger(__name__)


class SemanticJudge:
    """Publishes what it can tell: a kept answer that is gone, and two answers that nobody can judge, teach nothing."""

    def __init__(self, runtime: Runtime, cache: AnswerCache, embedder: Embedder) -> None:
        self._publisher, self._cache, self._embedder = runtime.publisher, cache, embedder
        self._codec = runtime.serde.of(SemanticEntry)

    async def compare(self, answers: Iterable[InferenceResponse]) -> None:
        """Returns when the outcomes stand in the log; raises KafkaError when they cannot be written.

        Only what may be kept is compared: a call of its own answered it, to the end.
        """
        asked = [(answer, answer.compare) for answer in answers if answer.compare is not None and may_store(answer)]
        if not asked:
            return
        kept = await self._cache.look_up([comparison.cache_key for _, comparison in asked])
        records = [self._record(own, comparison, each) for (own, comparison), each in zip(asked, kept, strict=True)]
        partitions = await self._publisher.partitions(topics.SEMANTIC)
        await self._publisher.send_all(self._outgoing(records, partitions))

    def _record(self, own: InferenceResponse, to: Comparison, kept: InferenceResponse | None) -> SemanticEntry | None:
        compared = None if kept is None else self._compared(own, to, kept)
        if kept is None or compared is None:
            return None
        return SemanticEntry(
            cache_key=to.cache_key,
            scope=to.scope,
            tenant=own.tenant,
            text="",
            vector=b"",
            embedder=to.embedder,
            stored_at=clock.now(),
            expires_at=_expires_at(kept),
            compared=compared,
        )

    def _compared(self, own: InferenceResponse, to: Comparison, kept: InferenceResponse) -> Compared | None:
        if (kept.tenant, kept.cache_key) != (own.tenant, to.cache_key) or kept.output is None or own.output is None:
            return None
        try:
            agreement = judge(kept.output, own.output, self._embedder)
        except Exception:
            # As in Arrivals.read: one record must not stop all that follow it. Nothing is learnt of it.
            log.exception("semantic_defect", request_id=own.request_id)
            return None
        return None if agreement is None else Compared(own.request_id, to.score, agreement)

    def _outgoing(self, records: Sequence[SemanticEntry | None], partitions: int) -> Iterable[Outgoing]:
        """Placed behind their entries: what was learnt of an answer must not be read before the answer."""
        for record in records:
            if record is not None and record.compared is not None:
                key = f"{record.cache_key}#{record.compared.request_id}"
                yield Outgoing(topics.SEMANTIC, key, self._codec.encode(record), partition_of(record.cache_key, partitions))


def _expires_at(kept: InferenceResponse) -> datetime:
    return kept.answered_at + timedelta(seconds=kept.cache_ttl_s or 0)
