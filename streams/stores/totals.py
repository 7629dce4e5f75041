"""Cost totals on disk, in the face of the dictionary that the dispatcher's state has in memory.

There is one a lane, provider, model and hour, for ever: the hours that are written to now are kept in memory as well.
"""

from collections.abc import Callable, Iterator

from rocksdict import Rdict

from schemas.ledger import CostTotal

PREFIX = b"c/total/"
_KEPT = 5_000


class TotalsOnDisk:
    """The store writes them, as the changelog records that they are; here they are read."""

    def __init__(self, db: Rdict, decode: Callable[[bytes], CostTotal | None]) -> None:
        self._db, self._decode = db, decode
        self._recent: dict[str, CostTotal] = {}

    def get(self, key: str) -> CostTotal | None:
        if (total := self._recent.pop(key, None)) is None:
            value = self._db.get(PREFIX + key.encode())
            total = None if value is None else self._decode(value)
        if total is not None:
            self._recent[key] = total
        return total

    def __setitem__(self, key: str, total: CostTotal) -> None:
        self._recent.pop(key, None)
        self._recent[key] = total

    def pop(self, key: str, default: None = None) -> CostTotal | None:
        return self._recent.pop(key, default)

    def values(self) -> Iterator[CostTotal]:
        """Every total, read from the disk where it has to be."""
        stored = self._db.iter()
        stored.seek(PREFIX)
        while stored.valid() and (entry := stored.key()).startswith(PREFIX):
            if entry[len(PREFIX) :].decode() not in self._recent and (total := self._decode(stored.value())) is not None:
                yield total
            stored.next()
        yield from self._recent.values()

    def rebind(self, db: Rdict) -> None:
        """Go on with another database, and without what was not written."""
        self._db, self._recent = db, {}

    def written(self) -> None:
        """Note that the disk has them all: the longest unused need not be kept."""
        while len(self._recent) > _KEPT:
            del self._recent[next(iter(self._recent))]
