"""All facts on the shelves, key by key, before the judge of what they are about."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from streams.verify import calls, facts, positions, progress, requests, totals, tries
from streams.verify.facts import About, Fact
from streams.verify.shelf import Shelf, add, by_key
from streams.verify.tally import Tally, Terms

_TURN = 1_000
_JUDGES: Mapping[str, Callable[[str, list[Fact], Terms, Tally], None]] = {
    facts.REQUEST: requests.judge,
    facts.CALL: calls.judge,
    facts.TOTAL: totals.judge,
    facts.POSITION: positions.judge,
    facts.TRIES: tries.judge,
    facts.PROGRESS: progress.judge,
    facts.KEYED: positions.judge_key,
}


class Past(Protocol):
    """What was judged up to a checkpoint, and found clean."""

    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def unsettled(self) -> Sequence[About]: ...
    def find(self, about: About) -> list[Fact]: ...


async def judged(terms: Terms, *shelves: Shelf, past: Past | None = None) -> Tally:
    """The counts and problems of everything that lies on the shelves, which keep it, and of what went before.

    A large log takes minutes: other tasks have their turn meanwhile, or Kafka's clients would take the broker for dead.

    Of the past only the keys are judged again of which something is said anew (or that a later commit may show in another
    light), with all that is known of them; what they had counted is taken out.
    """
    tally, before = Tally(), Tally()
    unsettled = set(past.unsettled) if past is not None else set()
    for number, (about, found) in enumerate(by_key(*shelves)):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        unsettled.discard(about)
        _judge(about, found, terms, (tally, before), past)
    for about in unsettled:
        _judge(about, [], terms, (tally, before), past)
    if past is not None:
        tally.carry_on(past.counts, before)
    return tally


def with_past(about: About, found: Sequence[Fact], past: Past | None) -> list[Fact]:
    """What was known of the key, and what is new."""
    known = past.find(about) if past is not None else []
    for fact in found:
        add(about, known, fact)
    return known


def _judge(about: About, found: list[Fact], terms: Terms, tallies: tuple[Tally, Tally], past: Past | None) -> None:
    tally, before = tallies
    judge = _JUDGES[about.kind]
    if past is not None and (known := past.find(about)):
        judge(about.name, known, terms, before)
        found = with_past(about, found, past)
    judge(about.name, found, terms, tally)
