"""Judges one position: what cannot be read has a dead letter with its bytes, and every dead letter has its record."""

from collections.abc import Sequence

from streams import topics
from streams.verify.facts import DeadLettered, Fact, Unreadable
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind

_INPUTS = (topics.REQUESTS, topics.ATTEMPTS)


def judge(name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """`name` is topic-partition-offset; what is wrong goes into the tally. A dead letter may stand twice: it counts once."""
    unreadable = next((f for f in facts if isinstance(f, Unreadable)), None)
    letter = next((f for f in facts if isinstance(f, DeadLettered)), None)
    tally.dead_letters += letter is not None
    place = _place(name)
    if letter is None:
        if unreadable is not None:
            tally.add(_without_letter(name, place, unreadable, terms))
    elif not _stands(place, terms) or (letter.undecodable and unreadable is None):
        kind = ProblemKind.UNKNOWN_DEAD_LETTER if terms.quiet else ProblemKind.IN_FLIGHT
        tally.add(_about(kind, name, "no unreadable record stands there; find who wrote the dead letter", letter))
    elif unreadable is not None and (unreadable.size, unreadable.digest) != (letter.size, letter.digest):
        message = "its bytes are not those of the record that it is about; read the record itself before its retention ends"
        tally.add(_about(ProblemKind.UNKNOWN_DEAD_LETTER, name, message, letter))


def _place(name: str) -> tuple[str, int, int]:
    topic, partition, offset = name.rsplit("-", 2)
    return topic, int(partition), int(offset)


def _stands(place: tuple[str, int, int], terms: Terms) -> bool:
    topic, partition, offset = place
    ends = terms.ends.get(topic, ())
    return 0 <= partition < len(ends) and 0 <= offset < ends[partition]


def _without_letter(name: str, place: tuple[str, int, int], record: Unreadable, terms: Terms) -> Problem:
    if place[0] not in _INPUTS:
        message = "a record of ours that cannot be read; check with `penstock topics` which schema id it was written with"
        return Problem(ProblemKind.UNREADABLE, name, message, *place)
    if terms.now_us < record.seen_us + terms.grace_us:
        return Problem(ProblemKind.IN_FLIGHT, name, "cannot be read, and has no dead letter yet; run again with --wait", *place)
    message = "cannot be read, and has no dead letter; is the role that reads this topic running (`penstock doctor`)?"
    return Problem(ProblemKind.MISSING_DEAD_LETTER, name, message, *place)


def _about(kind: ProblemKind, name: str, message: str, letter: DeadLettered) -> Problem:
    return Problem(kind, name, message, topics.DEAD_LETTERS, letter.partition, letter.offset)
