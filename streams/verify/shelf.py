"""Keeps facts until they are judged: compartments by key, in memory while small, in unnamed temporary files beyond."""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

import orjson

from streams.verify.facts import TOTAL, TYPES, About, Amounts, Fact, Spent, Stated
from streams.verify.totals import merged

COMPARTMENTS = 64
_IN_MEMORY_BYTES = 512 * 1024
"""Of each compartment: 32 MB in all, and what is beyond lies on disk."""

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
        line = orjson.dumps((*about, _NUMBERS[type(fact)], *fact), default=tuple, option=_LINE)
        self._files[zlib.crc32(about.name.encode()) % COMPARTMENTS].write(line)

    def compartment(self, number: int, into: Facts) -> None:
        """Add the facts of one compartment to `into`, those of totals merged. More may be put afterwards."""
        file = self._files[number]
        file.seek(0)
        for line in file:
            kind, name, fact_number, *fields = orjson.loads(line)
            about, fact = About(kind, name), _fact(fact_number, fields)
            found = into.setdefault(about, [])
            if kind == TOTAL:
                _merge(found, fact)
            else:
                found.append(fact)
        file.seek(0, 2)


def by_key(*shelves: Shelf) -> Iterator[tuple[About, list[Fact]]]:
    """Every key with all its facts on all shelves, one compartment in memory at a time."""
    for number in range(COMPARTMENTS):
        facts: Facts = {}
        for shelf in shelves:
            shelf.compartment(number, facts)
        yield from facts.items()


_LINE = orjson.OPT_APPEND_NEWLINE


def _fact(number: int, fields: list[Any]) -> Fact:
    fact_type: Any = TYPES[number]
    if fact_type is Spent or fact_type is Stated:
        fields[2] = Amounts(*fields[2])
    fact: Fact = fact_type(*fields)
    return fact


def _merge(found: list[Fact], fact: Fact) -> None:
    for i, earlier in enumerate(found):
        if (both := merged(earlier, fact)) is not None:
            found[i] = both
            return
    found.append(fact)
