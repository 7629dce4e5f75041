"""Keeps facts until they are judged: compartments by key, in memory while small, in unnamed temporary files beyond.

A compartment is emptied in as many passes as it takes to have only a few megabytes of it in memory at a time: how much is kept
does not say how much memory the judging takes.
"""

import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

import orjson

from streams.verify import progress, totals
from streams.verify.facts import PROGRESS, TOTAL, TYPES, About, Amounts, Fact, Spent, Stated

COMPARTMENTS = 64
_IN_MEMORY_BYTES = 128 * 1024
"""Of each compartment: 8 MB in all, and what is beyond lies on disk."""

_AT_ONCE_BYTES = 4 * 1024 * 1024
"""Of what is judged in one pass; as facts in memory it takes five times as much."""

_HASH_DIGITS = 8
"""A line begins with the hash of its key, in hexadecimal, so that a pass need not read what belongs to another."""

_MERGED: Mapping[str, Callable[[Fact, Fact], Fact | None]] = {TOTAL: totals.merged, PROGRESS: progress.merged}
"""Of what may have a million facts, those of a kind become one as they are read."""

_NUMBERS = {fact_type: number for number, fact_type in enumerate(TYPES)}
Facts = dict[About, list[Fact]]


class Shelf:
    """Use as a context manager; everything on it is gone afterwards."""

    def __init__(self) -> None:
        self._exit = ExitStack()
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        for _ in range(COMPARTMENTS):
            file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
            self._files.append(self._exit.enter_context(file))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._exit.close()

    def put(self, about: About, fact: Fact) -> None:
        """Keep one more fact. Facts of one key come back in the order in which they were put."""
        at = zlib.crc32(about.name.encode())
        line = orjson.dumps((*about, *as_data(fact)), default=tuple, option=_LINE)
        self._files[at % COMPARTMENTS].write(b"%08x%b" % (at, line))

    def size(self, number: int) -> int:
        """Of one compartment, in bytes."""
        return self._files[number].tell()

    def compartment(self, number: int, into: Facts, *, part: int = 0, of: int = 1) -> None:
        """Add the facts of one compartment, or of a part of its keys, to `into`, those of totals merged.

        More may be put afterwards.
        """
        file = self._files[number]
        file.seek(0)
        for line in file:
            if of > 1 and int(line[:_HASH_DIGITS], 16) // COMPARTMENTS % of != part:
                continue
            kind, name, *data = orjson.loads(line[_HASH_DIGITS:])
            about = About(kind, name)
            add(about, into.setdefault(about, []), from_data(data))
        file.seek(0, 2)


def by_key(*shelves: Shelf) -> Iterator[tuple[About, list[Fact]]]:
    """Every key with all its facts on all shelves, a few megabytes of them in memory at a time."""
    for number in range(COMPARTMENTS):
        parts = 1 + sum(shelf.size(number) for shelf in shelves) // _AT_ONCE_BYTES
        for part in range(parts):
            facts: Facts = {}
            for shelf in shelves:
                shelf.compartment(number, facts, part=part, of=parts)
            yield from facts.items()


_LINE = orjson.OPT_APPEND_NEWLINE


def as_data(fact: Fact) -> tuple[Any, ...]:
    """The fact as plain values, for JSON."""
    return (_NUMBERS[type(fact)], *fact)


def from_data(data: Sequence[Any]) -> Fact:
    """The inverse of `as_data`."""
    fact_type: Any = TYPES[data[0]]
    fields = list(data[1:])
    if fact_type is Spent or fact_type is Stated:
        fields[2] = Amounts(*fields[2])
    fact: Fact = fact_type(*fields)
    return fact


def add(about: About, found: list[Fact], fact: Fact) -> None:
    """Add a fact to those that were found earlier, merged where that is possible."""
    if (merged := _MERGED.get(about.kind)) is not None:
        for i, earlier in enumerate(found):
            if (both := merged(earlier, fact)) is not None:
                found[i] = both
                return
    found.append(fact)
