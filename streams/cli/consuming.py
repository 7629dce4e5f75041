"""Reads a topic and prints it: what `penstock consume` does."""

from collections.abc import AsyncIterator
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.errors import SettingsError
from schemas.serde import MAGIC, Serde
from streams import clock, topics
from streams.beginning import Last, Start
from streams.cli import screen
from streams.cli.reading import Reader, Record, broker_errors, open_reader
from streams.cli.wire import Decoder, open_serde
from streams.decoding import Unreadable, decode, dumps
from streams.target import find_target

NAMES = {
    "responses": topics.RESPONSES,
    "costs": topics.COSTS,
    "totals": topics.COST_TOTALS,
    "health": topics.HEALTH,
    "alerts": topics.ALERTS,
    "dead-letters": topics.DEAD_LETTERS,
    "requests": topics.REQUESTS,
    "routed": topics.ROUTED,
    "attempts": topics.ATTEMPTS,
    "chunks": topics.CHUNKS,
    "changelog": topics.CHANGELOG,
}
_VALUE_CHARS = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    what: str
    start: Start
    follow: bool = False
    tenant: str | None = None
    limit: int | None = None


def topic_of(what: str) -> str:
    """The topic of a short name. Raises SettingsError for what is none.

    >>> topic_of("calls:openai"), topic_of("costs")
    ('ai.calls.openai', 'ai.costs')
    """
    if what.startswith("calls:") and len(what) > len("calls:"):
        return topics.calls(what.removeprefix("calls:"))
    if what in NAMES:
        return NAMES[what]
    if what in topics.all_topics(()) or what.startswith(topics.CALLS_PREFIX):
        return what
    raise SettingsError(f"there is nothing called {what!r} to consume; choose {', '.join(NAMES)} or calls:<provider>")


async def run(wanted: Wanted, bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Print what is wanted."""
    target = find_target(bootstrap_servers, data_dir)
    name = topic_of(wanted.what)
    with broker_errors(target.settings):
        serde = await open_serde(target.settings, [name])
        decoder = Decoder(serde, target.settings)
        async with open_reader(target.settings, [name]) as reader:
            left = wanted.limit
            async for record in _records(reader, wanted):
                found = await decoder.decode(record.value)
                if wanted.tenant is not None and _tenant(found) != wanted.tenant:
                    continue
                _print(record, found, serde, as_json=as_json)
                if left is not None and (left := left - 1) <= 0:
                    return


async def _records(reader: Reader, wanted: Wanted) -> AsyncIterator[Record]:
    """In the order of time within `Last`, else in the order of each partition."""
    ends = await reader.ends()
    if isinstance(wanted.start, Last):
        for record in await reader.last(wanted.start.count, ends):
            yield record
    else:
        await reader.seek(wanted.start)
        async for record in reader.until(ends):
            yield record
    if wanted.follow:
        async for record in reader.follow():
            yield record


def _tenant(found: Any) -> str | None:
    """The tenant that a record belongs to, wherever it says so."""
    if found is None or isinstance(found, Unreadable):
        return None
    if (tenant := getattr(found, "tenant", None)) is not None:
        return str(tenant)
    inner = next((item for name in ("request", "call", "total") if (item := getattr(found, name, None)) is not None), None)
    return getattr(inner, "tenant", None)


def _print(record: Record, found: Any, serde: Serde, *, as_json: bool) -> None:
    timestamp = clock.from_kafka_ms(record.timestamp)
    key = None if record.key is None else record.key.decode("utf-8", errors="backslashreplace")
    if as_json:
        position = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        screen.put_bytes(dumps({**position, "timestamp": timestamp, "key": key, **_outcome(found)}, serde))
    else:
        where = f"{record.topic}[{record.partition}]@{record.offset}"
        screen.put(f"{where}  {timestamp:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  {key or '-'}  {brief(found, serde)}")


def _outcome(found: Any) -> dict[str, Any]:
    if found is None:
        return {"type": None, "record": None}
    if isinstance(found, Unreadable):
        return {"type": None, "error": {"reason": found.reason, "message": found.message}, "value_size": found.value_size}
    return {"type": type(found).__name__, "record": found}


def brief(found: Any, serde: Serde) -> str:
    """A record in one line: the fields that differ from their defaults.

    >>> from schemas.requests import Sampling
    >>> brief(Sampling(seed=7, stop=("a", "b")), Serde())
    'stop=[a, b] seed=7'
    """
    if found is None:
        return "(tombstone)"
    if isinstance(found, Unreadable):
        return f"(unreadable: {found.reason}: {found.message})"
    return " ".join(f"{name}={_short(value, serde)}" for name, value in _set_fields(found))


def _set_fields(found: Any) -> list[tuple[str, Any]]:
    out = []
    for field in fields(found):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if (value := getattr(found, field.name)) != default:
            out.append((field.name, value))
    return out


def _short(value: Any, serde: Serde) -> str:
    if isinstance(value, datetime):
        return value.strftime("%H:%M:%S.%f")[:-3]
    if isinstance(value, bytes):
        inner = decode(serde, value) if value[:1] == MAGIC else None
        return f"({len(value)} bytes)" if inner is None or isinstance(inner, Unreadable) else f"{{{brief(inner, serde)}}}"
    if hasattr(value, "__dataclass_fields__"):
        return f"{{{brief(value, serde)}}}"
    if isinstance(value, tuple | list):
        return f"[{_cut(', '.join(_short(item, serde) for item in value[:8]))}{', …' if len(value) > 8 else ''}]"
    return _cut(" ".join(str(value).split()))


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_CHARS else f"{text[:_VALUE_CHARS]}…"
