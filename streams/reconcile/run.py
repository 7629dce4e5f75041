"""The whole of it: read both sides, ask for what differs, wait until it stands, look again."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from processors.cost.prices import PriceBook
from processors.cost.totals import total_key
from processors.reconcile.formats import Shape
from processors.reconcile.lines import Line
from schemas.calls import Usage
from schemas.errors import SettingsError
from schemas.ledger import CostEvent, CostTotal
from streams import clock
from streams.reconcile import posting
from streams.reconcile.export import Export
from streams.reconcile.index import Index
from streams.reconcile.judging import Differs, Terms, judge
from streams.reconcile.ledger import Ledger, Log
from streams.reconcile.standing import Standing
from streams.runtime import Runtime

_LOOK_EVERY_S = 0.2
_SUMMED = tuple(f.name for f in fields(CostTotal) if f.type is int)
Sums = Mapping[str, int]
ReadTotals = Callable[[], Awaitable[Iterable[CostTotal]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for. `first` and `last` are the time that the export covers, where it does not tell itself."""

    complete: bool = False
    dry_run: bool = False
    wait_s: float = 30.0
    margin_s: float = 60.0
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, what was asked of the dispatcher, and what is left. `adjustments` stand in the ledger since."""

    lines: int
    span_us: tuple[int, int] | None
    found: Standing
    left: Standing
    asked: int
    outstanding: int
    adjustments: int
    before: Sums
    after: Sums

    def to_json(self, most: int) -> dict[str, Any]:
        """One object; `first` lists of it hold `most` entries at most."""
        return {
            "clean": self.left.clean,
            "lines": self.lines,
            "asked": self.asked,
            "adjustments": self.adjustments,
            "outstanding": self.outstanding,
            "found": self.found.to_json(most),
            "left": self.left.to_json(most),
            "before": dict(self.before),
            "after": dict(self.after),
        }


async def reconcile(
    export: Export, log: Log, runtime: Runtime, options: Options, *, prices: PriceBook, read_totals: ReadTotals
) -> Outcome:
    """Make the ledger say what the provider bills, call by call. Raises SettingsError for an export that cannot be used so."""

    def price(line: Line) -> int | None:
        return _price(line, prices)

    with Index() as index:
        index.put_lines(export.lines(), add_up=export.shape is Shape.SIMULATOR)
        terms = _terms(export, index, options)

        def take(events: Iterable[CostEvent]) -> None:
            index.put_events(e for e in events if export.provider in {None, e.provider})

        ledger = Ledger(log, runtime.serde, take)
        await ledger.catch_up()
        before = sums(await read_totals(), export.provider)
        as_of = clock.now()
        await ledger.catch_up()
        index.pair()
        found, asked = Standing(), 0
        seen, ledger.adjusted_at = ledger.adjustments, {}
        differing = _differing(index, terms, found, price)
        if options.dry_run:
            for _ in differing:
                pass
            return Outcome(index.count_lines(), terms.span_us, found, found, 0, 0, 0, before, before)
        asked = await posting.post(differing, runtime, index, as_of=as_of)
        until_s = time.monotonic() + options.wait_s
        while index.outstanding() and time.monotonic() < until_s:
            await asyncio.sleep(_LOOK_EVERY_S)
            await ledger.catch_up()
        index.pair()
        left = Standing()
        for finding in judge(index, terms):
            left.add(finding, price)
        after = sums(await _totals_with(ledger.adjusted_at, read_totals, until_s), export.provider)
        return Outcome(
            lines=index.count_lines(),
            span_us=terms.span_us,
            found=found,
            left=left,
            asked=asked,
            outstanding=index.outstanding(),
            adjustments=ledger.adjustments - seen,
            before=before,
            after=after,
        )


def sums(totals: Iterable[CostTotal], provider: str | None) -> Sums:
    """All totals of the provider in one; of every provider when it is None."""
    summed = dict.fromkeys(_SUMMED, 0)
    for total in totals:
        if provider in {None, total.provider}:
            for name in _SUMMED:
                summed[name] += getattr(total, name)
    return summed


def _differing(index: Index, terms: Terms, found: Standing, price: Callable[[Line], int | None]) -> Iterator[Differs]:
    for finding in judge(index, terms):
        found.add(finding, price)
        if isinstance(finding, Differs):
            yield finding


async def _totals_with(adjusted_at: Mapping[str, datetime], read_totals: ReadTotals, until_s: float) -> list[CostTotal]:
    """The totals, once they hold the adjustments: the markers of one transaction reach its topics one after the other."""
    while True:
        totals = list(await read_totals())
        updated_at = {total_key(total): total.updated_at for total in totals}
        here = all(key in updated_at and updated_at[key] >= at for key, at in adjusted_at.items())
        if here or time.monotonic() >= until_s:
            return totals
        await asyncio.sleep(_LOOK_EVERY_S)


def _terms(export: Export, index: Index, options: Options) -> Terms:
    span_us = index.span_us()
    if options.first is not None and options.last is not None:
        span_us = round(options.first.timestamp() * 1e6), round(options.last.timestamp() * 1e6)
    if options.complete and span_us is None:
        raise SettingsError("the export does not tell when its calls were made: say what it covers with --from and --to")
    if options.complete and export.more:
        raise SettingsError("the export's last page says that more follow: fetch them all before you say --complete")
    return Terms(span_us, options.complete, round(options.margin_s * 1e6))


def _price(line: Line, prices: PriceBook) -> int | None:
    if line.model is None or line.at_us is None:
        return None
    usage = Usage(
        line.told.input_tokens,
        line.told.output_tokens,
        line.told.cache_read_input_tokens or 0,
        line.told.cache_write_input_tokens or 0,
        line.told.reasoning_tokens or 0,
    )
    at = clock.from_kafka_ms(line.at_us // 1000)
    return prices.price(usage, provider=line.provider, model=line.model, deployment="", at=at).cost_nanousd
