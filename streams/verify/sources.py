"""The files beside the log that a check is given, and how far each was read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streams.verify.facts import About, Fact
from streams.verify.shelf import Shelf
from streams.verify.witnesses import Mark, acknowledged_requests, injected_keys, injected_records, provider_calls

_READERS: Mapping[str, Callable[[Path, Mark], Iterator[tuple[About, Fact]]]] = {
    "call_log": provider_calls,
    "acknowledged_log": acknowledged_requests,
    "injected": injected_records,
}


@dataclass(frozen=True, slots=True)
class Sources:
    """The simulator's call log, a publisher's log, a list of injected bad records; each may be missing."""

    call_log: Path | None = None
    acknowledged_log: Path | None = None
    injected: Path | None = None

    def given(self) -> dict[str, Path]:
        return {name: path for name in _READERS if (path := getattr(self, name)) is not None}

    def names(self) -> dict[str, str]:
        """What a checkpoint remembers of them."""
        return {name: str(path.resolve()) for name, path in self.given().items()}

    def read(self, shelf: Shelf, marks: Mapping[str, Mark]) -> dict[str, Mark]:
        """Put what they say after `marks` on the shelf; returns how far they were read."""
        reached = {name: replace(marks.get(name, Mark())) for name in self.given()}
        for name, path in self.given().items():
            for about, fact in _READERS[name](path, reached[name]):
                shelf.put(about, fact)
        return reached

    def have(self, marks: Mapping[str, Mark]) -> bool:
        """Whether the files are as long as they were: they only grow, so a shorter one is another."""
        given = self.given()
        return all(name in given and given[name].exists() and given[name].stat().st_size >= m.read for name, m in marks.items())

    def injected_keys(self) -> frozenset[tuple[str, str]] | None:
        """Those that are named by key; None when nobody says what was injected."""
        return None if self.injected is None else injected_keys(self.injected)
