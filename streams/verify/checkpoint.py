"""What a clean and quiet verdict leaves behind, so that the next run reads only what came after it.

A SQLite file holds every fact by its key, and beside them the positions, the counts and how far the witnesses were read. The
next run joins what is new with all that is known of the same keys and judges these whole, so it finds what a run over everything
finds: a late second final, a second charge of an old call. A key of which nothing new is said was clean, and stays so. The file
grows with the log; memory does not.

It changes as a whole or not at all, and only a run on the same Kafka, with the same witnesses and terms, goes on from it.
"""

import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from schemas.errors import SettingsError
from streams.verify.facts import TYPES, About, Fact
from streams.verify.shelf import as_data, from_data
from streams.verify.witnesses import Mark

_FORMAT = 1
_TABLES = """
create table if not exists known (key blob primary key, facts blob not null) without rowid;
create table if not exists state (id integer primary key check (id = 1), value blob not null);
"""


@dataclass(slots=True)
class State:
    """Where the next run goes on. `terms` must be its own, else it begins anew."""

    terms: Mapping[str, Any]
    positions: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    group_positions: Mapping[int, int] = field(default_factory=dict)
    group_states: Mapping[str, tuple[int, bool]] = field(default_factory=dict)
    marks: Mapping[str, Mark] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    unsettled: Sequence[About] = ()
    records: int = 0
    skipped: int = 0
    last_final_us: int = 0


class Checkpoint:
    """One file. What was judged up to it: `judging.Past`."""

    def __init__(self, connection: sqlite3.Connection, state: State | None) -> None:
        self._connection, self.state = connection, state

    @property
    def counts(self) -> Mapping[str, int]:
        return self.state.counts if self.state is not None else {}

    @property
    def unsettled(self) -> Sequence[About]:
        return self.state.unsettled if self.state is not None else ()

    def find(self, about: About) -> list[Fact]:
        """Everything that was known of the key."""
        if self.state is None:
            return []
        row = self._connection.execute("select facts from known where key = ?", (_key(about),)).fetchone()
        return [] if row is None else [from_data(data) for data in orjson.loads(zlib.decompress(row[0]))]

    def begin_anew(self) -> None:
        """What the file knows is of something else. It stays in the file until the next verdict that is kept."""
        self.state = None

    def keep(self, state: State, known: Iterable[tuple[About, list[Fact]]]) -> None:
        """Make this the checkpoint: `known` is everything about the keys of which something new was said."""
        with self._connection:
            if self.state is None:
                self._connection.execute("delete from known")
            self._connection.executemany("insert or replace into known values (?, ?)", _rows(known))
            self._connection.execute(
                "insert or replace into state values (1, ?)", (orjson.dumps(asdict(state), default=tuple, option=_OPTIONS),)
            )
        self.state = state


@contextmanager
def open_checkpoint(path: Path, *, must_exist: bool = False) -> Iterator[Checkpoint]:
    """An empty one where there is no file. Raises SettingsError when it must exist, or is no checkpoint, or cannot be used."""
    if must_exist and not path.exists():
        raise SettingsError(f"there is no checkpoint {path}; `--checkpoint {path}` writes one after a clean verdict")
    try:
        with closing(sqlite3.connect(path, isolation_level="IMMEDIATE")) as connection:
            connection.executescript(_TABLES)
            row = connection.execute("select value from state").fetchone()
            yield Checkpoint(connection, None if row is None else _state(path, row[0]))
    except sqlite3.Error as error:
        raise _unusable(path, error) from error


def form() -> str:
    """Of the facts as this version writes them: a checkpoint of another form is not used."""
    fields = repr([(t.__name__, t._fields) for t in TYPES])
    return f"{_FORMAT}-{hashlib.sha256(fields.encode()).hexdigest()[:16]}"


_OPTIONS = orjson.OPT_NON_STR_KEYS


def _key(about: About) -> bytes:
    return hashlib.blake2b(f"{about.kind}\0{about.name}".encode(), digest_size=16).digest()


def _rows(known: Iterable[tuple[About, list[Fact]]]) -> Iterator[tuple[bytes, bytes]]:
    for about, facts in known:
        yield _key(about), zlib.compress(orjson.dumps([as_data(f) for f in facts], default=tuple), level=1)


def _state(path: Path, value: bytes) -> State | None:
    """None for that of another version, which may have other fields."""
    try:
        data = orjson.loads(value)
        if data["terms"]["form"] != form():
            return None
        return State(
            **data
            | {
                "positions": {topic: {int(p): at for p, at in of.items()} for topic, of in data["positions"].items()},
                "group_positions": {int(p): at for p, at in data["group_positions"].items()},
                "group_states": {group: (generation, empty) for group, (generation, empty) in data["group_states"].items()},
                "marks": {name: Mark(**mark) for name, mark in data["marks"].items()},
                "unsettled": [About(*about) for about in data["unsettled"]],
            }
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> SettingsError:
    return SettingsError(
        f"the checkpoint {path} cannot be used ({error}); delete it to begin anew, and let one run at a time use it"
    )
