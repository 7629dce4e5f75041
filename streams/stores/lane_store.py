"""One lane partition's state on disk: a compacted copy of its changelog, for finished requests and totals outgrow memory.

1. It is written after the transaction, in one batch with the changelog offset that it reflects: never newer than the log.
2. It is worth nothing by itself: deleted, damaged, too old or of another cluster, it is made anew from the changelog.
3. Everything is kept as its changelog record; open requests, calls, circuits and positions are read into memory at the start.
   Finished requests, as many as the dedupe horizon has seen, and the totals of all hours stay on disk.
"""

import shutil
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog
from rocksdict import BlockBasedIndexType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from schemas.errors import DiskUnusable
from schemas.serde import Serde
from schemas.state import DispatchChange
from streams.stores.finished import FinishedOnDisk
from streams.stores.totals import PREFIX as _TOTALS
from streams.stores.totals import TotalsOnDisk

log = structlog.get_logger(__name__)

STALE_AFTER_S = 43_200.0
"""Half the changelog's `delete.retention.ms`: behind by more, a copy may miss what was forgotten meanwhile."""

_RECORDS, _REQUEST = b"c/", "request/"
_IDENTITY, _REFLECTS = b"m/identity", b"m/reflects"
_WRITE_BUFFER_BYTES = 4 << 20
_BLOOM_BITS = 10


class LaneStore:
    """Opened for one process at a time; RocksDB refuses a second."""

    def __init__(self, directory: Path, *, cache: Cache, serde: Serde, identity: str) -> None:
        """`identity` names the cluster that it is a copy of. Raises DiskUnusable when the disk cannot be used."""
        self._directory, self._cache, self._identity = directory, cache, identity
        self._db = _open(directory, cache)
        changes = serde.of(DispatchChange)
        self.finished = FinishedOnDisk(self._db)
        self.totals = TotalsOnDisk(self._db, lambda value: changes.decode(value).total)
        self.next_offset, self._written_at = 0, 0.0
        if self._db.get(_IDENTITY) != identity.encode():
            self.clear()
        elif (reflects := self._db.get(_REFLECTS)) is not None:
            self.next_offset, self._written_at = struct.unpack(">qd", reflects)

    def reuse(self, *, begin: int, end: int) -> bool:
        """Whether the copy can be brought up to date; it is emptied when not. `begin` and `end` are the changelog's offsets."""
        behind = self.next_offset < end
        stale = behind and abs(time.time() - self._written_at) > STALE_AFTER_S
        if self.next_offset and not stale and begin <= self.next_offset <= end:
            return True
        if self.next_offset:
            log.warning(
                "lane_store_made_anew", directory=str(self._directory), stale=stale, offset=self.next_offset, ends=(begin, end)
            )
            self.clear()
        return False

    def records(self) -> Iterator[tuple[str, bytes]]:
        """The changelog records of everything but finished requests and totals."""
        found = self._db.iter()
        found.seek(_RECORDS)
        while found.valid() and (key := found.key()).startswith(_RECORDS):
            if key.startswith(_TOTALS):
                found.seek(_TOTALS[:-1] + b"0")  # the byte after the slash
                continue
            yield key[len(_RECORDS) :].decode(), found.value()
            found.next()

    def write(self, records: Iterable[tuple[str, bytes | None]], *, next_offset: int) -> None:
        """What one transaction wrote to the changelog, and what finished or was forgotten with it.

        Raises DiskUnusable when the disk cannot be written: the transaction stands, and the changelog has it.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in records:
            ended = key.startswith(_REQUEST) and self.finished.has_just_ended(key.removeprefix(_REQUEST))
            if value is None or ended:
                batch.delete(_RECORDS + key.encode())
            else:
                batch.put(_RECORDS + key.encode(), value)
        self.finished.into(batch)
        self._written_at = time.time()
        batch.put(_REFLECTS, struct.pack(">qd", next_offset, self._written_at))
        try:
            self._db.write(batch)
        except Exception as error:  # rocksdict raises nothing narrower
            raise _unusable(self._directory, error) from error
        self.totals.written()
        self.next_offset = next_offset

    def clear(self) -> None:
        """Forget everything."""
        self._db.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._db = _open(self._directory, self._cache)
        try:
            self._db.put(_IDENTITY, self._identity.encode())
        except Exception as error:  # rocksdict raises nothing narrower
            raise _unusable(self._directory, error) from error
        self.next_offset, self._written_at = 0, 0.0
        self.drop_changes()

    def drop_changes(self) -> None:
        """Forget what has changed since the last `write`: the state that it belongs to is worthless."""
        self.finished.rebind(self._db)
        self.totals.rebind(self._db)

    def close(self) -> None:
        self._db.close()


def _open(directory: Path, cache: Cache) -> Rdict:
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        return Rdict(str(directory), _options(cache))
    except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
        log.warning("lane_store_unreadable", directory=str(directory), error=str(error)[:300])
    shutil.rmtree(directory, ignore_errors=True)
    try:
        return Rdict(str(directory), _options(cache))
    except Exception as error:
        raise _unusable(directory, error) from error


def _unusable(directory: Path, error: Exception) -> DiskUnusable:
    return DiskUnusable(
        f"the dispatcher's state cannot be kept in {directory} ({str(error)[:200]}): "
        "free some disk space, or name another directory by PENSTOCK_STATE_DIR and start again; nothing is lost"
    )


def _options(cache: Cache) -> Options:
    """Bounded memory: filters and indexes live in the block cache, in small pieces, or each look-up would load them whole."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(2)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(cache)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    options.set_block_based_table_factory(blocks)
    return options
