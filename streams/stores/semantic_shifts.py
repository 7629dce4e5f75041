"""What this process has learnt of entries and scopes of the semantic cache, bounded: the longest untouched is forgotten first.

Forgetting is safe where it matters least: an entry that nobody asked about for long is judged by the shared threshold again.
"""

import math
from collections import OrderedDict

from processors.cache.semantic.decide import NEW_ENTRY, NEW_SCOPE, Shift, observe
from schemas.semantic import Agreement, Compared

_TELLING = frozenset({Agreement.SAME, Agreement.ALIKE, Agreement.DIFFERENT})


class Shifts:
    """Fed with comparisons in the order of a topic, every process learns the same. One that stands there twice counts once."""

    def __init__(self, *, entries: int, scopes: int) -> None:
        self._entries: OrderedDict[str, Shift] = OrderedDict()
        self._scopes: OrderedDict[bytes, Shift] = OrderedDict()
        self._counted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._most_entries = entries
        self._most_scopes = scopes

    def of(self, cache_key: str, scope: bytes) -> tuple[Shift, Shift]:
        """(the entry's, the scope's), as new for what was never compared. Looking changes nothing."""
        return self._entries.get(cache_key, NEW_ENTRY), self._scopes.get(scope, NEW_SCOPE)

    def learn(self, cache_key: str, scope: bytes, compared: Compared) -> None:
        """What the kept answer was worth for one question. A word of a later version teaches nothing."""
        score, agreement = compared.score, compared.agreement
        if agreement not in _TELLING or not math.isfinite(score) or self._again(cache_key, compared.request_id):
            return
        entry, whole = self.of(cache_key, scope)
        right, proven = agreement is not Agreement.DIFFERENT, agreement is Agreement.SAME
        self._entries[cache_key] = observe(entry, score, right=right, proven=proven)
        self._entries.move_to_end(cache_key)
        # A scope lowers no threshold, whatever it has seen: what was only judged may count there in full.
        self._scopes[scope] = observe(whole, score, right=right)
        self._scopes.move_to_end(scope)
        if len(self._entries) > self._most_entries:
            self._entries.popitem(last=False)
        if len(self._scopes) > self._most_scopes:
            self._scopes.popitem(last=False)

    def clear(self) -> None:
        """Forget everything: what was learnt is read again."""
        self._entries.clear()
        self._scopes.clear()
        self._counted.clear()

    def drop(self, cache_key: str) -> None:
        """Another answer is kept under the key: what was learnt of the last one says nothing of it."""
        self._entries.pop(cache_key, None)

    def _again(self, cache_key: str, request_id: str) -> bool:
        """Whether this comparison was counted before: its writer may have died before it said that it was done."""
        if (cache_key, request_id) in self._counted:
            return True
        self._counted[cache_key, request_id] = None
        if len(self._counted) > self._most_entries:
            self._counted.popitem(last=False)
        return False
