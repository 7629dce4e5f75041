"""A workload of which a known share of the requests was asked before, by the same tenant."""

import random
from bisect import bisect
from dataclasses import dataclass, field
from itertools import accumulate

TENANTS = 6
_SEED = 1


@dataclass(slots=True)
class _Tenant:
    """Questions so far, and the running sums of their weights: the nth is repeated as 1/n (Zipf's law)."""

    asked: int = 0
    sums: list[float] = field(default_factory=list)

    def new(self) -> int:
        self.asked += 1
        self.sums.append((self.sums[-1] if self.sums else 0.0) + 1 / self.asked)
        return self.asked - 1

    def again(self, luck: float) -> int:
        return bisect(self.sums, luck * self.sums[-1])


def questions(count: int, *, repeat_share: float) -> list[tuple[str, int]]:
    """(tenant, question) of each request, always the same ones; the first tenants ask more than the last.

    >>> drawn = questions(2_000, repeat_share=0.7)
    >>> 0.68 < 1 - len(set(drawn)) / len(drawn) < 0.72
    True
    """
    chance = random.Random(_SEED)
    shares = list(accumulate(1 / rank for rank in range(1, TENANTS + 1)))
    tenants = [_Tenant() for _ in range(TENANTS)]
    found = []
    for _ in range(count):
        number = bisect(shares, chance.random() * shares[-1])
        tenant, repeats = tenants[number], chance.random() < repeat_share
        found.append((f"tenant-{number}", tenant.again(chance.random()) if repeats and tenant.asked else tenant.new()))
    return found
