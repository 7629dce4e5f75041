"""Reads the cost totals and sums them: what `penstock costs` does."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import RecordError, SettingsError
from schemas.ledger import CostTotal
from schemas.serde import Codec
from streams import money, topics
from streams.beginning import Beginning, parse_time
from streams.cli import screen
from streams.cli.reading import Record, broker_errors, open_reader
from streams.cli.wire import open_serde
from streams.settings import Settings
from streams.sums import BY, SUMMED, Sums
from streams.target import find_target

if TYPE_CHECKING:
    from rich.table import Table

_REDRAW_S = 0.25
Totals = dict[bytes, CostTotal]
"""The last total of each key."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What to sum, and by what."""

    by: str = "tenant"
    since: datetime | None = None
    tenant: str | None = None

    @classmethod
    def of(cls, *, by: str, since: str | None, tenant: str | None) -> "Spending":
        """Raises SettingsError for what cannot be summed by, and for a time that is none."""
        if by not in BY:
            raise SettingsError(f"--by takes {', '.join(BY)}, not {by!r}")
        advice = "--since takes a time such as 2026-01-31T15:00Z"
        return cls(by, parse_time(since, advice) if since is not None else None, tenant)

    def group(self, totals: Iterable[CostTotal]) -> dict[str, Sums]:
        """The sums by name, the dearest first; times in their order."""
        since = self.since and self.since.replace(minute=0, second=0, microsecond=0)
        groups: dict[str, Sums] = {}
        for total in totals:
            if (since is not None and total.hour < since) or (self.tenant is not None and total.tenant != self.tenant):
                continue
            groups.setdefault(BY[self.by](total), Sums()).add(total)
        if self.by in {"hour", "day"}:
            return dict(sorted(groups.items()))
        return dict(sorted(groups.items(), key=lambda item: (-item[1].cost_nanousd, item[0])))


async def run(wanted: Spending, bootstrap_servers: str | None, data_dir: Path | None, *, watch: bool, as_json: bool) -> None:
    """Print the sums, once or live."""
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        if watch:
            await _watch(wanted, target.settings, as_json=as_json)
            return
        totals = await read_totals(target.settings)
    show(wanted, totals.values(), as_json=as_json)


async def read_totals(settings: Settings) -> Totals:
    """All cost totals that are committed now. Raises SettingsError when Kafka is away."""
    serde = await open_serde(settings, [topics.COST_TOTALS])
    codec, totals = serde.of(CostTotal), Totals()
    async with open_reader(settings, [topics.COST_TOTALS]) as reader:
        ends = await reader.ends()
        await reader.seek(Beginning())
        async for record in reader.until(ends):
            _put(totals, record, codec)
    return totals


def show(wanted: Spending, totals: Iterable[CostTotal], *, as_json: bool) -> None:
    """Print the sums once."""
    groups = wanted.group(totals)
    if as_json:
        screen.put_json(_as_json(wanted, groups))
    elif groups:
        screen.console().print(table(wanted, groups))
        if note := _note(_sum(groups)):
            screen.say(note)
    else:
        screen.put("nothing was spent yet")


async def _watch(wanted: Spending, settings: Settings, *, as_json: bool) -> None:
    serde = await open_serde(settings, [topics.COST_TOTALS])
    codec, totals, changed = serde.of(CostTotal), Totals(), asyncio.Event()
    async with open_reader(settings, [topics.COST_TOTALS]) as reader:
        ends = await reader.ends()
        await reader.seek(Beginning())
        async for record in reader.until(ends):
            _put(totals, record, codec)

        async def follow() -> None:
            async for record in reader.follow():
                _put(totals, record, codec)
                changed.set()

        following = asyncio.create_task(follow())
        try:
            draw = _json_lines if as_json else _live
            await draw(wanted, totals, changed, following)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _json_lines(wanted: Spending, totals: Totals, changed: asyncio.Event, following: "asyncio.Task[None]") -> None:
    while not following.done():
        screen.put_json(_as_json(wanted, wanted.group(totals.values())))
        await changed.wait()
        await asyncio.sleep(_REDRAW_S)
        changed.clear()
    following.result()


async def _live(wanted: Spending, totals: Totals, changed: asyncio.Event, following: "asyncio.Task[None]") -> None:
    from rich.live import Live  # noqa: PLC0415

    with Live(console=screen.console(), auto_refresh=False) as live:
        while not following.done():
            live.update(table(wanted, wanted.group(totals.values())), refresh=True)
            await changed.wait()
            await asyncio.sleep(_REDRAW_S)
            changed.clear()
    following.result()


def table(wanted: Spending, groups: Mapping[str, Sums]) -> "Table":
    """The sums as a table, with a line of totals when there are several; columns that are zero throughout stay out."""
    from rich.table import Table  # noqa: PLC0415

    whole = _sum(groups)
    columns = [column for column in _COLUMNS if column.always or getattr(whole, column.field)]
    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    drawn.add_column(wanted.by, overflow="fold")
    for column in columns:
        drawn.add_column(column.title, justify="right", no_wrap=True, min_width=_widest(column, groups, whole))
    for name, sums in groups.items():
        drawn.add_row(name, *(column.cell(sums) for column in columns))
    if len(groups) > 1:
        drawn.add_row("all", *(column.cell(whole) for column in columns), style="bold")
    return drawn


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    field: str
    always: bool = True
    money: bool = False

    def cell(self, sums: Sums) -> str:
        value: int = getattr(sums, self.field)
        return money.dollars(value) if self.money else f"{value:,}"


_COLUMNS = (
    _Column("calls", "calls"),
    _Column("cost", "cost_nanousd", money=True),
    _Column("tokens in", "input_tokens"),
    _Column("tokens out", "output_tokens"),
    _Column("cache hits", "cache_hits", always=False),
    _Column("saved", "avoided_nanousd", always=False, money=True),
    _Column("estimated", "estimated_calls", always=False),
    _Column("wasted", "wasted_calls", always=False),
    _Column("unpriced", "unpriced_calls", always=False),
)


def _widest(column: _Column, groups: Mapping[str, Sums], whole: Sums) -> int:
    """An amount is never cut short."""
    return max(len(column.title), *(len(column.cell(sums)) for sums in (*groups.values(), whole)))


def _note(sums: Sums) -> str:
    notes = []
    if sums.unpriced_calls:
        notes.append(
            f"{money.plural(sums.unpriced_calls, 'call')} of unknown price are not in the sum: give the deployment a price"
        )
    if sums.estimated_calls:
        notes.append(f"{money.plural(sums.estimated_calls, 'call')} are in it at their upper bound: their result was lost")
    return "; ".join(notes)


def _sum(groups: Mapping[str, Sums]) -> Sums:
    whole = Sums()
    for sums in groups.values():
        for name in SUMMED:
            setattr(whole, name, getattr(whole, name) + getattr(sums, name))
    return whole


def _as_json(wanted: Spending, groups: Mapping[str, Sums]) -> dict[str, Any]:
    rows = [{wanted.by: name, **sums.as_json()} for name, sums in groups.items()]
    return {"by": wanted.by, "rows": rows, "total": _sum(groups).as_json()}


def _put(totals: Totals, record: Record, codec: Codec[CostTotal]) -> None:
    if record.value is None:
        totals.pop(record.key, None)
        return
    try:
        totals[record.key] = codec.decode(record.value)
    except RecordError as error:
        screen.say(f"penstock: {record.topic}[{record.partition}]@{record.offset} is left out: {error}")
