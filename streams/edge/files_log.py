"""The bytes of files, in ai.files: written piece by piece, read piece by piece."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from schemas.errors import RecordError
from schemas.files import FilePart
from streams import topics
from streams.edge.lineage_log import LogReading, Stretch
from streams.ids import made_at_s
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import Runtime

_SKEW = timedelta(seconds=5)
"""How far the clocks of machines may be apart."""
_AT_ONCE = 4
_AT_ONCE_BYTES = 1_500_000


class FileIncomplete(Exception):
    """A piece of a file is not in the log: it is older than what the log keeps."""


class FileLog:
    """The pieces of all files. Who may read which one is for the caller to say."""

    def __init__(self, runtime: Runtime, reading: LogReading) -> None:
        self._runtime = runtime
        self._reading = reading
        self._codec = runtime.serde.of(FilePart)

    def piece(self, tenant: str, file_id: str, number: int, data: bytes) -> Outgoing:
        """One piece, for whoever publishes it."""
        return Outgoing(topics.FILES, file_key(tenant, file_id), self._codec.encode(FilePart(file_id, tenant, number, data)))

    async def pieces(self, tenant: str, file_id: str, parts: int) -> AsyncIterator[bytes]:
        """The bytes of a file that has so many parts. Raises FileIncomplete; Refused while Kafka is away."""
        key = file_key(tenant, file_id)
        partition = partition_of(key, await self._runtime.publisher.partitions(topics.FILES))
        made_s = made_at_s(file_id)
        if made_s is None:
            raise FileIncomplete(f"{file_id} tells no time")
        wanted, next_number = key.encode(), 0
        stretch = Stretch(topics.FILES, partition, since_ms=int((made_s - _SKEW.total_seconds()) * 1000))
        while next_number < parts:
            found = await self._reading.read([stretch], lambda r: r.key == wanted, most=_AT_ONCE, most_bytes=_AT_ONCE_BYTES)
            for record in found.records:
                part = self._read(record)
                if (part.tenant, part.file_id) != (tenant, file_id):
                    continue
                if part.number == next_number < parts:  # one that was sent again has been met already
                    next_number += 1
                    yield part.data
            if found.offset is None:
                break
            stretch = Stretch(topics.FILES, partition, offset=found.offset)
        if next_number < parts:
            raise FileIncomplete(f"{file_id} has {parts} pieces, and the log {next_number} of them")

    def _read(self, record: Any) -> FilePart:
        try:
            return self._codec.decode(record.value)
        except RecordError as error:
            raise FileIncomplete(f"a piece at {record.topic}/{record.partition}/{record.offset}: {error}") from error


def file_key(tenant: str, file_id: str) -> str:
    """The key of a file's pieces, and of what the directory has of it."""
    return f"{tenant}/{file_id}"
