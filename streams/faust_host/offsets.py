"""What has happened to the records of one partition, and how far it is safe to commit.

Rules
1. A record is waiting from its delivery, in work once an agent took it, done once it was acknowledged.
2. The committable offset is the smallest that is not done, be it waiting, in work, or not yet read.
3. When the consumer goes back to the committed offset (after a rebalance), what was waiting is forgotten, for it will be read
   again; what is in work or done stays known and is not delivered twice. A new owner learns what was done from the commit.
4. A tracker that was dropped (its partition had moved, and somebody else may have committed) still takes acknowledgements, which
   then count for nothing: nobody asks it for a committable offset any more.
"""

from collections.abc import Iterable


class PartitionOffsets:
    """The book of one partition. A `token` says which delivery of an offset is meant: an older delivery's word does not count."""

    __slots__ = ("_done", "_next", "_waiting", "_working", "readings")

    def __init__(self, position: int | None, done: Iterable[int] = ()) -> None:
        self._next = position
        self._waiting: dict[int, object] = {}
        self._working: dict[int, object] = {}
        self._done = set(done)
        self.readings = 0
        """How often the consumer went back; what was fetched in an earlier reading must not be delivered in this one."""

    @property
    def in_work(self) -> int:
        return len(self._working)

    @property
    def done(self) -> frozenset[int]:
        """What is done beyond the committable offset."""
        return frozenset(self._done)

    @property
    def held(self) -> int:
        """Records in memory: waiting or in work."""
        return len(self._waiting) + len(self._working)

    def deliver(self, offset: int, token: object) -> bool:
        """False when the record is in work or done here already, and must not be handed out again."""
        self._next = offset + 1
        if offset in self._working or offset in self._done:
            return False
        self._waiting[offset] = token
        return True

    def start(self, offset: int, token: object) -> bool:
        """False when this delivery is void: the consumer went back since, and the record will come again.

        Several agents may take the same delivery.
        """
        if self._working.get(offset) is token:
            return True
        if self._waiting.get(offset) is not token:
            return False
        self._working[offset] = self._waiting.pop(offset)
        return True

    def finish(self, offset: int, token: object) -> bool:
        """Note that the record is done. False when this delivery is void or was finished before."""
        for stage in (self._working, self._waiting):
            if stage.get(offset) is token:
                del stage[offset]
                self._done.add(offset)
                return True
        return False

    def go_back(self, position: int | None) -> None:
        """The consumer reads again from `position`; None when the group has never committed."""
        self.release()
        self._next = position
        self.readings += 1

    def release(self) -> None:
        """Forget what is waiting: it was taken out of the queues and will be read again."""
        if self._waiting:
            first = min(self._waiting)
            self._next = first if self._next is None else min(first, self._next)
            self._waiting.clear()

    def committable(self) -> int | None:
        """The smallest offset that is not done; None while nothing has been read.

        >>> book = PartitionOffsets(5)
        >>> [book.deliver(offset, "a") and book.start(offset, "a") for offset in (5, 6, 7)]
        [True, True, True]
        >>> book.finish(6, "a"), book.committable()
        (True, 5)
        >>> book.finish(5, "a"), book.committable()
        (True, 7)
        """
        if self._next is None:
            return None
        lowest = min(min(self._waiting, default=self._next), min(self._working, default=self._next), self._next)
        self._done = {offset for offset in self._done if offset >= lowest}
        return lowest
