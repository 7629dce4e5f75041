"""The first level of the answer cache: what this process looked up last, bounded by count, bytes and age."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """Least recently used goes first. Ages in seconds of `clock`; an entry of more than a quarter of the bytes is not kept."""

    def __init__(self, clock: Callable[[], float], *, entries: int, max_bytes: int, max_age_s: float) -> None:
        self._clock = clock
        self._entries = entries
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._items: OrderedDict[str, tuple[T, int, float]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> T | None:
        found = self._items.get(key)
        if found is None:
            return None
        item, _, expires_at = found
        if self._clock() >= expires_at:
            self.forget(key)
            return None
        self._items.move_to_end(key)
        return item

    def has(self, key: str) -> bool:
        """Whether the key is there, and not too old."""
        found = self._items.get(key)
        return found is not None and self._clock() < found[2]

    def put(self, key: str, item: T, size: int) -> None:
        self.forget(key)
        if self._entries == 0 or size > self._max_bytes // 4:
            return
        self._items[key] = (item, size, self._clock() + self._max_age_s)
        self.bytes += size
        while len(self._items) > self._entries or self.bytes > self._max_bytes:
            _, (_, dropped, _) = self._items.popitem(last=False)
            self.bytes -= dropped

    def forget(self, key: str) -> None:
        found = self._items.pop(key, None)
        if found is not None:
            self.bytes -= found[1]
