"""What a batch comes to, on its way into the log: pieces of its two files and how far it has come, in one transaction."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Protocol

from processors.api.batch_tally import Pieces, Tally, ended
from processors.api.files_shape import BATCH_OUTPUT, KEPT_FOR
from schemas.batches import BatchChanged, BatchState, BatchStatus
from schemas.files import StoredFile
from streams import clock, topics
from streams.edge.batch_index import batch_key
from streams.edge.files_log import FileLog, file_key
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import Runtime

_WRITE_EVERY_S = 2.0
_WRITE_AT_BYTES = 256 * 1024


class Ledger(Protocol):
    """What a batch asks of `BatchLedger`."""

    async def commit(self, records: list[Outgoing]) -> None: ...


class BatchWriter:
    """Of one batch. `state` stands in the log, `tally` is ahead of it."""

    def __init__(self, state: BatchState, runtime: Runtime, files: FileLog, ledger: Ledger) -> None:
        self.state = state
        self.tally = Tally.of(state)
        self._runtime, self._files, self._ledger = runtime, files, ledger
        self._codec = runtime.serde.of(BatchChanged)
        self._written_s = time.monotonic()

    @property
    def is_full(self) -> bool:
        """Whether no more should be held."""
        return self.tally.held_bytes >= _WRITE_AT_BYTES

    @property
    def is_due(self) -> bool:
        """Whether what is held should wait no longer."""
        return self.is_full or (self.tally.held_bytes > 0 and time.monotonic() - self._written_s >= _WRITE_EVERY_S)

    async def write(self, positions: tuple[int, ...], more: Iterable[Outgoing] = ()) -> None:
        """Write down what has been settled, and that answers have yet to be read from `positions` on. `more` goes with it."""
        pieces = self.tally.take(positions)
        self._written_s = time.monotonic()
        self.state = self.tally.state
        await self._ledger.commit([*more, *self._pieces(*pieces), await self._record(self.state)])

    async def end(self, status: BatchStatus, positions: tuple[int, ...], cancelled_at: datetime | None = None) -> None:
        """Write what is left, and make the files known that hold something."""
        pieces = self.tally.take(positions)
        now = clock.now()
        self.state = state = ended(self.tally.state, status, now, cancelled_at)
        files = [
            self._stored(state.output_file_id, "output", state.output_bytes, state.output_parts, now),
            self._stored(state.error_file_id, "error", state.error_bytes, state.error_parts, now),
        ]
        known = [
            Outgoing(topics.BATCHES, file_key(file.tenant, file.file_id), self._codec.encode(BatchChanged(file=file)))
            for file in files
            if file is not None
        ]
        await self._ledger.commit([*self._pieces(*pieces), *known, await self._record(state)])

    def _pieces(self, answers: Pieces, errors: Pieces) -> list[Outgoing]:
        ids = (self.tally.state.output_file_id, self.tally.state.error_file_id)
        return [
            self._files.piece(self.state.tenant, file_id, pieces.first + n, data)
            for file_id, pieces in zip(ids, (answers, errors), strict=True)
            for n, data in enumerate(pieces.data)
            if file_id is not None
        ]

    def _stored(self, file_id: str | None, kind: str, size: int, parts: int, now: datetime) -> StoredFile | None:
        if file_id is None:
            return None
        after_s = self.state.output_expires_after_s
        until = now + (KEPT_FOR if after_s is None else timedelta(seconds=after_s))
        name = f"{self.state.batch_id}_{kind}.jsonl"
        return StoredFile(file_id, self.state.tenant, name, BATCH_OUTPUT, size, parts, created_at=now, expires_at=until)

    async def _record(self, state: BatchState) -> Outgoing:
        key = batch_key(state.tenant, state.batch_id)
        partition = partition_of(key, await self._runtime.publisher.partitions(topics.BATCHES))
        return Outgoing(topics.BATCHES, key, self._codec.encode(BatchChanged(state)), partition=partition)
