"""Judges one cost total: the last stated value is the sum of the cost events. Its facts come merged: one of each kind."""

from collections.abc import Sequence

from streams import topics
from streams.verify.facts import Amounts, Fact, Spent, Stated
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind


def judge(key: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """Adds the stated cost to the tally, and a problem when the total is not the sum in every field."""
    spent = next((f for f in facts if isinstance(f, Spent)), None)
    stated = next((f for f in facts if isinstance(f, Stated)), None)
    expected = spent.amounts if spent else Amounts()
    found = stated.amounts if stated else Amounts()
    tally.totals += stated is not None
    tally.cost_nanousd += found.cost_nanousd
    if stated and found == expected:
        return
    differing = ", ".join(
        f"{name} is {has}, the cost events sum to {wants}"
        for name, has, wants in zip(Amounts._fields, found, expected, strict=True)
        if has != wants
    )
    message = differing if stated or spent is None else f"no total, but {spent.events} cost events belong to it"
    kind = ProblemKind.WRONG_TOTAL if terms.quiet else ProblemKind.IN_FLIGHT
    tally.wrong_totals += 1
    if stated is not None:
        tally.add(Problem(kind, key, message, topics.COST_TOTALS, stated.partition, stated.offset))
    elif spent is not None:
        tally.add(Problem(kind, key, message, topics.COSTS, spent.partition, spent.offset))


def merged(earlier: Fact, later: Fact) -> Fact | None:
    """One fact that says what both do of a total; None when they are about different things.

    A total may have a million events: they are summed up as they are read, and of what was stated the last counts.
    """
    if isinstance(earlier, Spent) and isinstance(later, Spent):
        amounts = Amounts(*(a + b for a, b in zip(earlier.amounts, later.amounts, strict=True)))
        return later._replace(amounts=amounts, events=earlier.events + later.events)
    if isinstance(earlier, Stated) and isinstance(later, Stated):
        return later
    return None
