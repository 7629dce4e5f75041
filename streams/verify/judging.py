"""All facts on the shelves, key by key, before the judge of what they are about."""

from collections.abc import Callable, Mapping

from streams.verify import calls, facts, positions, requests, totals
from streams.verify.facts import Fact
from streams.verify.shelf import Shelf, by_key
from streams.verify.tally import Tally, Terms

_JUDGES: Mapping[str, Callable[[str, list[Fact], Terms, Tally], None]] = {
    facts.REQUEST: requests.judge,
    facts.CALL: calls.judge,
    facts.TOTAL: totals.judge,
    facts.POSITION: positions.judge,
}


def judged(terms: Terms, *shelves: Shelf) -> Tally:
    """The counts and problems of everything that lies on the shelves, which keep it."""
    tally = Tally()
    for about, found in by_key(*shelves):
        _JUDGES[about.kind](about.name, found, terms, tally)
    return tally
