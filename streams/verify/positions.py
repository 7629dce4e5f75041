"""Judges one position: what cannot be read has a dead letter with its bytes, and every dead letter has its record.

Where somebody says which bad records were put in on purpose, these have dead letters, and nothing else has.
"""

from collections.abc import Sequence

from streams import topics
from streams.verify.facts import POSITION, About, DeadLettered, Fact, Injected, Letter, Unreadable
from streams.verify.tally import Tally, Terms
from streams.verify.verdict import Problem, ProblemKind

_INPUTS = (topics.REQUESTS, topics.ROUTED, topics.ATTEMPTS)


def judge(name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """`name` is topic-partition-offset; what is wrong goes into the tally. A dead letter may stand twice: it counts once."""
    unreadable = next((f for f in facts if isinstance(f, Unreadable)), None)
    letter = next((f for f in facts if isinstance(f, DeadLettered)), None)
    injected = next((f for f in facts if isinstance(f, Injected)), None)
    tally.dead_letters += letter is not None
    place = _place(name)
    if unreadable is not None and terms.awaits_commit(*place):
        tally.unsettled.add(About(POSITION, name))
    if terms.injected_keys is not None:
        _intended(name, injected, letter, terms, tally)
    if letter is None:
        if unreadable is not None:
            tally.add(_without_letter(name, place, unreadable, terms))
    elif not _stands(place, terms) or (letter.undecodable and unreadable is None):
        kind = ProblemKind.UNKNOWN_DEAD_LETTER if terms.quiet else ProblemKind.IN_FLIGHT
        tally.add(_about(kind, name, "no unreadable record stands there; find who wrote the dead letter", letter))
    elif unreadable is not None and (unreadable.size, unreadable.digest) != (letter.size, letter.digest):
        message = "its bytes are not those of the record that it is about; read the record itself before its retention ends"
        tally.add(_about(ProblemKind.UNKNOWN_DEAD_LETTER, name, message, letter))


def judge_key(name: str, facts: Sequence[Fact], terms: Terms, tally: Tally) -> None:
    """The dead letters of the records of one key, against the lines that say how many were put in and why they are bad.

    Keys are facts of every log; without such lines nothing is wrong with any.
    """
    injected = [f for f in facts if isinstance(f, Injected)]
    letters = list({(f.partition, f.offset): f for f in facts if isinstance(f, Letter)}.values())
    if not injected:
        return
    free = list(letters)
    for line in sorted(injected, key=lambda f: f.reason is None):
        match = next((f for f in free if line.reason in {None, f.reason}), None)
        if match is not None:
            free.remove(match)
        elif free and len(letters) >= len(injected):
            other = free.pop()
            message = (
                f"line {line.line} of the list of injected records expects {line.reason}, its dead letter says {other.reason}"
            )
            tally.add(Problem(ProblemKind.OTHER_REASON, name, message, topics.DEAD_LETTERS, 0, other.letter_offset))
        else:
            kind = ProblemKind.MISSING_DEAD_LETTER if terms.quiet else ProblemKind.IN_FLIGHT
            message = f"line {line.line} of the list of injected records has no dead letter; is the role that reads the topic up?"
            tally.add(Problem(kind, name, message))
    for letter in free:
        message = f"{len(letters)} dead letters for {len(injected)} injected records of this key; a healthy record was put aside"
        tally.add(Problem(ProblemKind.UNEXPECTED_DEAD_LETTER, name, message, topics.DEAD_LETTERS, 0, letter.letter_offset))


def _intended(name: str, injected: Injected | None, letter: DeadLettered | None, terms: Terms, tally: Tally) -> None:
    place = _place(name)
    if letter is None:
        if injected is not None:
            kind = ProblemKind.MISSING_DEAD_LETTER if terms.quiet else ProblemKind.IN_FLIGHT
            message = f"line {injected.line} of the list of injected records has no dead letter; is the role that reads it up?"
            tally.add(Problem(kind, name, message, *place))
    elif injected is None:
        if letter.key is None or (place[0], letter.key) not in (terms.injected_keys or ()):
            message = f"put aside as {letter.reason}, but nobody injected it; read the dead letter's own message"
            tally.add(_about(ProblemKind.UNEXPECTED_DEAD_LETTER, name, message, letter))
    elif injected.reason not in {None, letter.reason}:
        message = f"line {injected.line} of the injected records expects {injected.reason}, the dead letter says {letter.reason}"
        tally.add(_about(ProblemKind.OTHER_REASON, name, message, letter))


def _place(name: str) -> tuple[str, int, int]:
    topic, partition, offset = name.rsplit("-", 2)
    return topic, int(partition), int(offset)


def _stands(place: tuple[str, int, int], terms: Terms) -> bool:
    topic, partition, offset = place
    ends = terms.ends.get(topic, ())
    return 0 <= partition < len(ends) and 0 <= offset < ends[partition]


def _without_letter(name: str, place: tuple[str, int, int], record: Unreadable, terms: Terms) -> Problem:
    if place[0] not in _INPUTS and not place[0].startswith(topics.CALLS_PREFIX):
        message = "a record of ours that cannot be read; check with `penstock topics` which schema id it was written with"
        return Problem(ProblemKind.UNREADABLE, name, message, *place)
    if (commit := terms.covering(*place)) is not None and terms.quiet:
        message = (
            f"cannot be read, and group {commit.group} has committed it as done without a dead letter; it is lost to its sender"
        )
        return Problem(ProblemKind.PASSED_UNFINISHED, name, message, *place)
    if terms.now_us < record.seen_us + terms.grace_us:
        return Problem(ProblemKind.IN_FLIGHT, name, "cannot be read, and has no dead letter yet; run again with --wait", *place)
    message = "cannot be read, and has no dead letter; is the role that reads this topic running (`penstock doctor`)?"
    return Problem(ProblemKind.MISSING_DEAD_LETTER, name, message, *place)


def _about(kind: ProblemKind, name: str, message: str, letter: DeadLettered) -> Problem:
    return Problem(kind, name, message, topics.DEAD_LETTERS, letter.partition, letter.offset)
