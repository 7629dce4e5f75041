"""Facts that must match before one answer may serve two wordings: the closed rules, ahead of any score.

A guard errs on the side of asking: a paraphrase it parts costs one call, a difference it lets pass may cost a wrong answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from processors.cache.semantic.facts import Facts, stem
from processors.cache.semantic.words import CONNECTORS, COURTESIES, FUNCTION_WORDS, OPPOSITES


class Reason(StrEnum):
    NUMBERS = "numbers"
    UNITS = "units"
    DATES = "dates"
    NEGATION = "negation"
    QUOTED = "quoted"
    NAMES = "names"
    OPPOSITES = "opposites"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why two texts are taken for two questions."""

    reason: Reason


def compatible(a: Facts, b: Facts) -> Mismatch | None:
    """None when nothing that must match differs; symmetric, and None for equal facts.

    >>> from processors.cache.semantic.facts import facts
    >>> compatible(facts("Transfer $100 to Bob"), facts("Transfer $1000 to Bob"))
    Mismatch(reason=<Reason.NUMBERS: 'numbers'>)
    >>> compatible(facts("How do I reset a password?"), facts("How can I reset my password?"))
    """
    if a == b:
        return None
    return next((Mismatch(reason) for reason, parts in _GUARDS if parts(a, b)), None)


def mismatches(a: Facts, b: Facts) -> frozenset[Reason]:
    """All reasons at once, for reports."""
    return frozenset() if a == b else frozenset(reason for reason, parts in _GUARDS if parts(a, b))


def _numbers(a: Facts, b: Facts) -> bool:
    """The same values in the same order, and no value with two units. That all units occur is for the next guard."""
    if [value for value, _ in a.numbers] != [value for value, _ in b.numbers]:
        return True
    return any(x and y and x != y for (_, x), (_, y) in zip(a.numbers, b.numbers, strict=True))


def _units(a: Facts, b: Facts) -> bool:
    return a.units != b.units


def _dates(a: Facts, b: Facts) -> bool:
    return a.dates != b.dates


def _negation(a: Facts, b: Facts) -> bool:
    return a.negations != b.negations


def _quoted(a: Facts, b: Facts) -> bool:
    """A quoted string must stand in the other text too, quoted or not."""
    return any(not _within(quote, b.words) for quote in a.quoted) or any(not _within(quote, a.words) for quote in b.quoted)


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


def _names(a: Facts, b: Facts) -> bool:
    return bool(_missing(a.names, b) or _missing(b.names, a))


def _missing(names: frozenset[str], other: Facts) -> bool:
    """A name that the other text has neither as a word, in any case, nor spelt out by its initials."""
    lost = {stem(name) for name in names} - {stem(word) for word in other.words}
    if not lost:
        return False
    initials = "".join(word[0] for word in other.words)
    return any(not (2 < len(name) < 7 and name in initials) for name in lost)


def _opposites(a: Facts, b: Facts) -> bool:
    mine, yours = set(a.words), set(b.words)
    return any(OPPOSITES[word] & yours - mine for word in (mine - yours) & OPPOSITES.keys())


def _order(a: Facts, b: Facts) -> bool:
    """Two words that change sides of a connector ("to", "than"), or the same content words told in another order."""
    told, other = ([word for word in text.content if word not in COURTESIES] for text in (a, b))
    if told != other and sorted(told) == sorted(other) and _framed_alike(a, b):
        return True
    mine, yours = _sides(a), _sides(b)
    return any((connector, right, left) in yours - mine for connector, left, right in mine - yours)


def _framed_alike(a: Facts, b: Facts) -> bool:
    return [w for w in a.words if w in FUNCTION_WORDS] == [w for w in b.words if w in FUNCTION_WORDS]


def _sides(text: Facts) -> set[tuple[str, str, str]]:
    """(connector, word left of it, word right of it), for the three content words next to it on each side."""
    found: set[tuple[str, str, str]] = set()
    words = text.words
    for at, connector in enumerate(words):
        if connector in CONNECTORS:
            left = [w for w in words[max(0, at - 4) : at] if w not in FUNCTION_WORDS]
            right = [w for w in words[at + 1 : at + 5] if w not in FUNCTION_WORDS]
            found.update((connector, x, y) for x in left for y in right if x != y)
    return found


_GUARDS: tuple[tuple[Reason, Callable[[Facts, Facts], bool]], ...] = (
    (Reason.NUMBERS, _numbers),
    (Reason.UNITS, _units),
    (Reason.DATES, _dates),
    (Reason.NEGATION, _negation),
    (Reason.QUOTED, _quoted),
    (Reason.OPPOSITES, _opposites),
    (Reason.NAMES, _names),
    (Reason.ORDER, _order),
)
