"""Both sides of the join on disk: a database without a name, gone with the process. Memory holds a page cache alone."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import orjson

from processors.reconcile.lines import KeyKind, Line, Told
from schemas.calls import Charged, Usage
from schemas.errors import SettingsError
from schemas.ledger import CostEvent, CostKind
from schemas.requests import Operation

_CACHE_KIB = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = """
CREATE TABLE lines(kind TEXT, id TEXT, provider TEXT, model TEXT, at_us INTEGER, input INTEGER, output INTEGER,
                   cache_read INTEGER, cache_write INTEGER, reasoning INTEGER, PRIMARY KEY(kind, id)) WITHOUT ROWID;
CREATE TABLE calls(call_id TEXT PRIMARY KEY, response_id TEXT, provider TEXT, started_us INTEGER, input INTEGER,
                   output INTEGER, cache_read INTEGER, cache_write INTEGER, reasoning INTEGER, cost INTEGER,
                   estimated INTEGER, sequence INTEGER, facts BLOB) WITHOUT ROWID;
CREATE INDEX by_response ON calls(response_id) WHERE response_id IS NOT NULL;
CREATE TABLE pairs(call_id TEXT PRIMARY KEY, kind TEXT, id TEXT) WITHOUT ROWID;
CREATE INDEX by_line ON pairs(kind, id);
CREATE TABLE asked(call_id TEXT PRIMARY KEY, sequence INTEGER) WITHOUT ROWID;
"""
_PAIR = (
    "DELETE FROM pairs",
    """INSERT OR IGNORE INTO pairs SELECT c.call_id, l.kind, l.id FROM lines l
       JOIN calls c ON c.call_id = l.id WHERE l.kind = 'call'""",
    """INSERT OR IGNORE INTO pairs SELECT c.call_id, l.kind, l.id FROM lines l
       JOIN calls c ON c.response_id = l.id AND c.provider = l.provider
       WHERE l.kind = 'response' AND NOT EXISTS (
           SELECT 1 FROM calls d WHERE d.response_id = l.id AND d.provider = l.provider AND d.call_id <> c.call_id)""",
)
_CALL = (
    "c.call_id, c.provider, c.started_us, c.input, c.output, c.cache_read, c.cache_write, c.reasoning, c.cost, c.estimated, "
    "c.sequence, c.facts"
)
_LINE = "l.kind, l.id, l.provider, l.model, l.at_us, l.input, l.output, l.cache_read, l.cache_write, l.reasoning"

_PAIRED = (
    f"SELECT {_CALL}, {_LINE} FROM pairs p JOIN calls c ON c.call_id = p.call_id JOIN lines l ON l.kind = p.kind AND l.id = p.id"  # noqa: S608 - our own column names
)
_ONLY_OURS = f"""SELECT {_CALL} FROM calls c
WHERE NOT EXISTS (SELECT 1 FROM pairs p WHERE p.call_id = c.call_id) ORDER BY started_us"""  # noqa: S608 - as above
_ONLY_THEIRS = f"""SELECT {_LINE} FROM lines l
WHERE NOT EXISTS (SELECT 1 FROM pairs p WHERE p.kind = l.kind AND p.id = l.id) ORDER BY l.at_us, l.id"""  # noqa: S608 - as above
_LINE_OF = f"SELECT {_LINE} FROM lines l WHERE kind = ? AND id = ?"  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Booked:
    """A call as the ledger has it: what was charged, the next adjustment's number with it, and whose call it is."""

    call_id: str
    provider: str
    started_at: datetime
    charged: Charged
    request_id: str
    attempt: int
    tenant: str
    lane: str
    deployment: str
    model: str


class Index:
    """Use as a context manager."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)

    def __enter__(self) -> Self:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._db.close()

    def put_lines(self, lines: Iterable[Line], *, add_up: bool) -> None:
        """Keep the export.

        `add_up`: each line is a call by itself, and one that arrived twice under our id was billed twice. Otherwise a line that
        stands twice is an overlap of pages: raises SettingsError when it does not say the same.
        """
        self._db.execute("BEGIN")
        for line in lines:
            row = (line.kind, line.id, line.provider, line.model, line.at_us, *astuple(line.told))
            if add_up:
                self._db.execute(f"INSERT INTO lines VALUES({_marks(row)}) {_ADD_UP}", row)
            elif self._db.execute(f"INSERT OR IGNORE INTO lines VALUES({_marks(row)})", row).rowcount == 0:
                self._must_repeat(line)
        self._db.execute("COMMIT")

    def put_events(self, events: Iterable[CostEvent]) -> None:
        """Add cost events of calls, each call's adjustments after its charge, as the topic has them."""
        self._db.execute("BEGIN")
        for event in events:
            if event.kind is CostKind.CALL:
                row = _row(event)
                self._db.execute(f"INSERT OR IGNORE INTO calls VALUES({_marks(row)})", row)
            elif event.kind is CostKind.ADJUSTED:
                self._db.execute(_ADJUST, _adjustment(event))
        self._db.execute("COMMIT")

    def span_us(self) -> tuple[int, int] | None:
        """From the first to the last call of the export; None when it does not tell the times of its calls."""
        first, last, untold = self._one("SELECT min(at_us), max(at_us), count(*) - count(at_us) FROM lines")
        return None if first is None or untold else (first, last)

    def count_lines(self) -> int:
        return int(self._one("SELECT count(*) FROM lines")[0])

    def has_response_keys(self) -> bool:
        """Whether a line goes by the provider's id: it may be a call of ours whose answer never reached us."""
        return bool(self._one("SELECT EXISTS(SELECT 1 FROM lines WHERE kind = 'response')")[0])

    def pair(self) -> None:
        """Find the pairs anew. An answer's id that several calls carry pairs with none of them."""
        for statement in _PAIR:
            self._db.execute(statement)

    def paired(self) -> Iterator[tuple[Booked, Told]]:
        for row in self._db.execute(_PAIRED):
            yield _booked(row[:12]), _line(row[12:]).told

    def only_ours(self) -> Iterator[Booked]:
        """Calls that the export does not have, in the order of their start."""
        return (_booked(row) for row in self._db.execute(_ONLY_OURS))

    def only_theirs(self) -> Iterator[Line]:
        """Lines of the export that no call of the ledger answers to, in the order of their time."""
        return (_line(row) for row in self._db.execute(_ONLY_THEIRS))

    def ask(self, booked: Iterable[Booked]) -> None:
        """Remember which adjustments the dispatcher was asked for."""
        rows = [(b.call_id, b.charged.sequence) for b in booked]
        self._db.executemany("INSERT OR REPLACE INTO asked VALUES(?, ?)", rows)

    def outstanding(self) -> int:
        """How many of them do not stand in the ledger yet."""
        query = "SELECT count(*) FROM asked a JOIN calls c ON c.call_id = a.call_id WHERE c.sequence < a.sequence"
        return int(self._one(query)[0])

    def _must_repeat(self, line: Line) -> None:
        found = self._db.execute(_LINE_OF, (line.kind, line.id)).fetchone()
        if (first := _line(found)).told != line.told:
            raise SettingsError(
                f"the export bills {line.id} twice, as {first.told} and as {line.told}; check how it was put together"
            )

    def _one(self, query: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._db.execute(query).fetchone()
        return found


_ADD_UP = """ON CONFLICT(kind, id) DO UPDATE SET input = input + excluded.input, output = output + excluded.output,
cache_read = cache_read + excluded.cache_read, cache_write = cache_write + excluded.cache_write,
reasoning = reasoning + excluded.reasoning, at_us = min(at_us, excluded.at_us)"""
_ADJUST = """UPDATE calls SET input = input + ?, output = output + ?, cache_read = cache_read + ?, cache_write = cache_write + ?,
reasoning = reasoning + ?, cost = cost + ?, estimated = estimated AND NOT ?, sequence = ? WHERE call_id = ? AND sequence < ?"""


def _row(event: CostEvent) -> tuple[Any, ...]:
    facts = (
        event.request_id,
        event.attempt,
        event.tenant,
        event.lane,
        event.deployment,
        event.model,
        event.wasted,
        event.operation.value,
        event.user,
        event.response_model,
    )
    return (
        event.call_id or event.event_id,
        event.provider_response_id,
        event.provider,
        (event.occurred_at - _EPOCH) // timedelta(microseconds=1),
        *_counts(event.usage or Usage(0, 0)),
        event.cost_nanousd,
        event.estimated,
        0,
        orjson.dumps(facts),
    )


def _adjustment(event: CostEvent) -> tuple[Any, ...]:
    sequence = int(event.event_id.rpartition("/")[2])
    counts = _counts(event.usage or Usage(0, 0))
    return (*counts, event.cost_nanousd, event.replaces_estimate, sequence, event.call_id, sequence)


def _counts(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.reasoning_tokens,
    )


def _booked(row: Sequence[Any]) -> Booked:
    call_id, provider, started_us, *counts, cost, estimated, sequence, facts = row
    request_id, attempt, tenant, lane, deployment, model, wasted, operation, user, response_model = orjson.loads(facts)
    usage = Usage(*counts)
    charged = Charged(
        sequence=sequence + 1,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nanousd=cost,
        estimated=bool(estimated),
        wasted=bool(wasted),
        operation=Operation(operation),
        user=user,
        response_model=response_model,
    )
    started_at = _EPOCH + timedelta(microseconds=started_us)
    return Booked(call_id, provider, started_at, charged, request_id, attempt, tenant, lane, deployment, model)


def _line(row: Sequence[Any]) -> Line:
    kind, name, provider, model, at_us, *counts = row
    return Line(KeyKind(kind), name, provider, model, at_us, Told(*counts))


def _marks(row: Sequence[Any]) -> str:
    return ", ".join("?" * len(row))
