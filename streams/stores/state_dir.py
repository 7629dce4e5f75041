"""The directory in which one process keeps its state: several may share a data directory, and none another's files."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from rocksdict import Cache

from schemas.errors import SettingsError
from schemas.serde import Serde
from streams.stores.lane_store import LaneStore

_CACHE_BYTES = 16 << 20


class LaneStores:
    """The stores of one process, opened when a lane first comes here and kept open, for it may come again."""

    def __init__(self, directory: Path, serde: Serde) -> None:
        self._directory, self._cache, self._serde = directory, Cache(_CACHE_BYTES), serde
        self._open: dict[int, LaneStore] = {}

    def of(self, partition: int, *, identity: str) -> LaneStore:
        """The store of a lane partition. Raises DiskUnusable when the disk cannot be used."""
        if partition not in self._open:
            directory = self._directory / f"lane-{partition}"
            self._open[partition] = LaneStore(directory, cache=self._cache, serde=self._serde, identity=identity)
        return self._open[partition]

    def close(self) -> None:
        for store in self._open.values():
            store.close()
        self._open = {}


@contextmanager
def state_slot(root: Path) -> Iterator[Path]:
    """A directory below `root` for this process alone: the first that no living process holds.

    A process that is started again after a crash so finds the state that it, or a sibling, left. Raises SettingsError when
    nothing can be written there.
    """
    for number in count():
        directory = root / str(number)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise SettingsError(
                f"{directory} cannot be written ({error.strerror}): name another by PENSTOCK_STATE_DIR"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        try:
            yield directory
        finally:
            os.close(lock)
        return
