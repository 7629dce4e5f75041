"""Judges one cost total: the last stated value is the sum of the cost events."""

from collections.abc import Sequence

from streams import topics
from streams.verify.facts import Amounts, Fact, Spent, Stated
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind


def judge(key: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """Adds the stated cost to the tally, and a problem when the total is not the sum in every field."""
    events = [f for f in facts if isinstance(f, Spent)]
    stated = [f for f in facts if isinstance(f, Stated)]
    expected = Amounts(*(sum(column) for column in zip(*(event.amounts for event in events), strict=True)))
    tally.totals += bool(stated)
    found = stated[-1].amounts if stated else Amounts()
    tally.cost_nanousd += found.cost_nanousd
    if stated and found == expected:
        return
    differing = ", ".join(
        f"{name} is {has}, the cost events sum to {wants}"
        for name, has, wants in zip(Amounts._fields, found, expected, strict=True)
        if has != wants
    )
    message = differing if stated else f"no total, but {len(events)} cost events belong to it"
    kind = ProblemKind.WRONG_TOTAL if terms.quiet else ProblemKind.IN_FLIGHT
    topic, place = (topics.COST_TOTALS, stated[-1]) if stated else (topics.COSTS, events[-1])
    tally.wrong_totals += 1
    tally.add(Problem(kind, key, message, topic, place.partition, place.offset))
