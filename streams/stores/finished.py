"""Finished requests on disk, in the face of the dictionary that the dispatcher's state has in memory."""

import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rocksdict import Rdict, WriteBatch

from processors.dispatch.state import Finished

_BY_KEY, _BY_TIME = b"f/", b"t/"
_HEAD = struct.Struct(">qB")
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class FinishedOnDisk:
    """What changes is kept in memory until `into` hands it to the batch that is written after the transaction."""

    def __init__(self, db: Rdict) -> None:
        self._db = db
        self._changed: dict[str, Finished | None] = {}

    def get(self, key: str) -> Finished | None:
        if key in self._changed:
            return self._changed[key]
        return self._stored(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __setitem__(self, key: str, finished: Finished) -> None:
        self._changed[key] = finished

    def pop(self, key: str, default: None = None) -> None:
        self._changed[key] = default

    def items(self) -> Iterator[tuple[str, Finished]]:
        """The oldest first: what is stored by its time, then what has just finished."""
        found = self._db.iter()
        found.seek(_BY_TIME)
        while found.valid() and (entry := found.key()).startswith(_BY_TIME):
            key = entry[len(_BY_TIME) + 8 :].decode()
            if key not in self._changed and (finished := self._stored(key)) is not None:
                yield key, finished
            found.next()
        yield from ((key, finished) for key, finished in self._changed.items() if finished is not None)

    def has_just_ended(self, key: str) -> bool:
        """Whether the request has finished since the last `into`."""
        return self._changed.get(key) is not None

    def rebind(self, db: Rdict) -> None:
        """Go on with another database, and without what was not written."""
        self._db, self._changed = db, {}

    def into(self, batch: WriteBatch) -> None:
        """Put into the batch what has changed, and hold it no longer: it will be written or dropped as a whole."""
        for key, finished in self._changed.items():
            if (before := self._stored(key)) is not None:
                batch.delete(_time_key(key, before))
            if finished is None:
                batch.delete(_BY_KEY + key.encode())
            else:
                batch.put(_BY_KEY + key.encode(), _encoded(finished))
                batch.put(_time_key(key, finished), b"")
        self._changed = {}

    def _stored(self, key: str) -> Finished | None:
        value = self._db.get(_BY_KEY + key.encode())
        return None if value is None else _decoded(value)


def _time_key(key: str, finished: Finished) -> bytes:
    return _BY_TIME + struct.pack(">q", _micros(finished.finished_at)) + key.encode()


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _encoded(finished: Finished) -> bytes:
    status = finished.status.encode()
    return _HEAD.pack(_micros(finished.finished_at), len(status)) + status + finished.body_digest


def _decoded(value: bytes) -> Finished:
    micros, length = _HEAD.unpack_from(value)
    rest = value[_HEAD.size :]
    return Finished(body_digest=rest[length:], finished_at=_EPOCH + micros * _MICROSECOND, status=rest[:length].decode())
