"""Files and batches of one process, put together: what it follows, what it carries out, and its routes."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.routing import Route

from streams.edge.batch_driver import driving
from streams.edge.batch_index import BatchIndex
from streams.edge.batches import Batches
from streams.edge.door import Door
from streams.edge.files import Files
from streams.edge.files_log import FileLog
from streams.edge.lineage_log import LogReading
from streams.runtime import Runtime


@dataclass(frozen=True, slots=True)
class BatchParts:
    """The routes come of the door that is made later."""

    _index: BatchIndex
    _files: FileLog

    def routes(self, door: Door) -> list[Route]:
        return [*Files(door, self._index, self._files).routes(), *Batches(door, self._index).routes()]


@contextlib.asynccontextmanager
async def open_batches(runtime: Runtime) -> AsyncIterator[BatchParts]:
    """In the body all files and batches are known that stood in the log at the start, and those under way are carried out."""
    async with LogReading(runtime).open() as reading, BatchIndex(runtime).following() as index:
        files = FileLog(runtime, reading)
        async with driving(runtime, files):
            yield BatchParts(index, files)
