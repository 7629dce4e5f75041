"""What this process has learnt of entries and scopes of the semantic cache, bounded: the longest untouched is forgotten first.

Forgetting is safe where it matters least: an entry that nobody asked about for long is judged by the shared threshold again.
"""

from collections import OrderedDict

from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, Shift, observe


class Shifts:
    """Fed with comparisons in the order of a topic, every process learns the same."""

    def __init__(self, *, entries: int, scopes: int) -> None:
        self._entries: OrderedDict[str, Shift] = OrderedDict()
        self._scopes: OrderedDict[bytes, Shift] = OrderedDict()
        self._most_entries = entries
        self._most_scopes = scopes

    def of(self, cache_key: str, scope: bytes) -> tuple[Shift, Shift]:
        """(the entry's, the scope's), as new for what was never compared. Looking changes nothing."""
        return self._entries.get(cache_key, NEW_ENTRY), self._scopes.get(scope, NEW_SCOPE)

    def learn(self, cache_key: str, scope: bytes, score: float, *, right: bool) -> None:
        """One comparison: whether the kept answer would have done for a question of this score."""
        entry, whole = self.of(cache_key, scope)
        self._entries[cache_key] = observe(entry, score, right=right)
        self._entries.move_to_end(cache_key)
        self._scopes[scope] = observe(whole, score, right=right)
        self._scopes.move_to_end(scope)
        if len(self._entries) > self._most_entries:
            self._entries.popitem(last=False)
        if len(self._scopes) > self._most_scopes:
            self._scopes.popitem(last=False)

    def drop(self, cache_key: str) -> None:
        """Another answer is kept under the key: what was learnt of the last one says nothing of it."""
        self._entries.pop(cache_key, None)
