"""What a person watches, folded out of the log: for all tenants together, and for each one that is looked at. Pure.

Strategy
1. Of each answer a mark is kept for as long as the window reaches, 60,000 at most; of the last 5,000 what the feed tells. A
   scope that is opened is counted from them, and from then on with each record. So memory does not depend on how many tenants
   there are, and a record costs a look at two scopes.
2. Money comes from the hourly totals alone: they are absolute, so that what is read twice is not counted twice, and the
   difference of two is what was spent between them.
3. A scope tells what has changed since it told last: once a second, for all who watch it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from processors.live.entries import Answer, Dead, answer_of, dead_of, mark_of
from processors.live.scope import Scope
from processors.live.spend import Totals, summed, total_of
from processors.live.window import WINDOW_S, Mark, counted
from schemas.ledger import CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse

MOST_MARKS = 60_000
MOST_ANSWERS = 5_000
MOST_DEAD = 1_000
_MOST_PAID = 20_000


class _Paid(NamedTuple):
    tenant: str
    second: int
    nanousd: int


@dataclass(slots=True)
class Live:
    """The fold. `scopes` are those that somebody watches, by tenant; None is everybody's."""

    scopes: dict[str | None, Scope] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    _n: int = 0
    _marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MOST_MARKS))
    _paid: deque[_Paid] = field(default_factory=lambda: deque(maxlen=_MOST_PAID))
    _answers: deque[Answer] = field(default_factory=lambda: deque(maxlen=MOST_ANSWERS))
    _dead: deque[Dead] = field(default_factory=lambda: deque(maxlen=MOST_DEAD))

    def answered(self, response: InferenceResponse, now: datetime) -> None:
        """A final response. A notice to whoever sent an id again counts as nothing."""
        if not response.final:
            return
        self._n += 1
        answer, mark = answer_of(response, self._n), mark_of(response, now)
        self._answers.append(answer)
        in_window = mark.second >= int(now.timestamp()) - WINDOW_S
        if in_window:
            self._marks.append(mark)
        for scope in self._of(response.tenant):
            scope.requests.append(answer)
            if in_window:
                scope.window.count(mark)

    def totalled(self, key: bytes, record: CostTotal, now: datetime) -> None:
        """A total that is newer than the one known under this key."""
        more = self.totals.take(key, total_of(record))
        if more is None:
            return
        paid = _Paid(record.tenant, int(min(record.updated_at, now).timestamp()), more.sums.cost_nanousd)
        in_window = paid.second >= int(now.timestamp()) - WINDOW_S
        if in_window:
            self._paid.append(paid)
        for scope in self._of(record.tenant):
            scope.spend.add(more)
            if in_window:
                scope.window.pay(paid.second, paid.nanousd)

    def died(self, letter: DeadLetter) -> None:
        """A dead letter; one of nobody's is for those who watch all tenants."""
        self._n += 1
        dead = dead_of(letter, self._n)
        self._dead.append(dead)
        for scope in self._of(letter.tenant):
            scope.dead_letters.append(dead)

    def open(self, tenant: str | None) -> Scope:
        """The scope of a tenant, or of all; counted from what is still known when it was not watched before."""
        if (scope := self.scopes.get(tenant)) is None:
            scope = self.scopes[tenant] = Scope(tenant)
            self._count(scope)
        return scope

    def close(self, tenant: str | None) -> None:
        self.scopes.pop(tenant, None)

    def advance(self, now: datetime) -> None:
        """Forget what is out of the windows."""
        oldest_s = int(now.timestamp()) - WINDOW_S
        for kept in (self._marks, self._paid):
            while kept and kept[0].second < oldest_s:
                kept.popleft()
        another_hour = self.totals.begin(now)
        for scope in self.scopes.values():
            scope.window.forget_before(oldest_s)
            if another_hour:
                scope.spend = summed(self.totals.by_key.values(), scope.tenant, changes=scope.spend.changes + 1)

    def forget(self) -> None:
        """As if nothing had been read: the log is read anew."""
        self.totals = Totals(since=self.totals.since)
        for kept in (self._marks, self._paid, self._answers, self._dead):
            kept.clear()
        for scope in self.scopes.values():
            self._count(scope)

    def _of(self, tenant: str | None) -> Iterator[Scope]:
        if (everybody := self.scopes.get(None)) is not None:
            yield everybody
        if tenant is not None and (its := self.scopes.get(tenant)) is not None:
            yield its

    def _count(self, scope: Scope) -> None:
        """The scope out of what is kept; whoever watches it is told all of it again."""
        tenant = scope.tenant
        scope.window = counted(self._marks, tenant)
        for paid in self._paid:
            if tenant is None or paid.tenant == tenant:
                scope.window.pay(paid.second, paid.nanousd)
        scope.spend = summed(self.totals.by_key.values(), tenant)
        scope.requests.clear()
        scope.requests.extend(a for a in self._answers if tenant is None or a.tenant == tenant)
        scope.dead_letters.clear()
        scope.dead_letters.extend(d for d in self._dead if tenant is None or d.tenant == tenant)
        scope.anew = True
