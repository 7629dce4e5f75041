"""Agent `cache-fill`: ai.responses -> Valkey. Complete successful answers are kept; all others are skipped."""

from collections.abc import Sequence

import structlog

from schemas.errors import RecordError
from schemas.outcomes import InferenceResponse
from schemas.serde import Serde
from streams.faust_host import Delivered
from streams.registry import Newcomers
from streams.stores.valkey_cache import AnswerCache

log = structlog.get_logger(__name__)


class CacheFill:
    """Handles batches of responses. A response that cannot be read is counted and skipped: it is only not kept."""

    def __init__(self, cache: AnswerCache, serde: Serde, newcomers: Newcomers) -> None:
        self._cache, self._newcomers = cache, newcomers
        self._codec = serde.of(InferenceResponse)
        self.unreadable = 0

    async def handle(self, batch: Sequence[Delivered]) -> None:
        await self._newcomers.meet(record.value for record in batch)
        await self._cache.store([read for record in batch if (read := self._read(record)) is not None])

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
