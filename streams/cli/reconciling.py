"""Reconciles and prints: what `penstock reconcile` does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processors.reconcile.buckets import Compared
from schemas.errors import SettingsError
from schemas.ledger import CostTotal
from streams import money, topics
from streams.beginning import Beginning, parse_time
from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.reading import broker_errors, open_reader
from streams.cli.spending import read_totals
from streams.clock import from_kafka_ms
from streams.prices import load_prices
from streams.reconcile.export import Export, open_export
from streams.reconcile.run import Options, Outcome, reconcile
from streams.reconcile.standing import Group, Standing
from streams.reconcile.usage_report import Report, compare
from streams.runtime import open_runtime
from streams.target import find_target

_ADVICE = "--from and --to take a time such as 2026-01-31T15:00Z"


@dataclass(frozen=True, slots=True)
class Request:
    """An export and what to do with it."""

    export: Export
    options: Options

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        format_name: str,
        provider: str | None,
        dry_run: bool,
        complete: bool,
        first: str | None,
        last: str | None,
        margin_s: float,
        wait_s: float,
    ) -> "Request":
        """Raises SettingsError for a file that is no export, and for options that do not go together."""
        export = open_export(path, format_name=format_name, provider=provider)
        if (first is None) != (last is None):
            raise SettingsError(f"--from and --to go together. {_ADVICE}")
        if complete and export.shape.is_aggregated:
            raise SettingsError("a usage report names no calls: leave out --complete, or export the calls themselves")
        options = Options(
            complete=complete,
            dry_run=dry_run,
            wait_s=wait_s,
            margin_s=margin_s,
            first=None if first is None else parse_time(first, _ADVICE),
            last=None if last is None else parse_time(last, _ADVICE),
        )
        return cls(export, options)


async def run(request: Request, bootstrap_servers: str | None, data_dir: Path | None, *, most: int, as_json: bool) -> ExitCode:
    """Reconcile, print, and say whether both sides agree now."""
    target = find_target(bootstrap_servers, data_dir)
    export, options, settings = request.export, request.options, target.settings

    async def totals() -> Sequence[CostTotal]:
        return list((await read_totals(settings)).values())

    with broker_errors(settings):
        async with open_runtime(settings, "reconcile") as runtime, open_reader(settings, [topics.COSTS]) as log:
            await log.seek(Beginning())
            if export.shape.is_aggregated:
                report = await compare(export, log, runtime.serde)
                _put(report.to_json()) if as_json else show_report(report, most)
                return ExitCode.OK if report.clean else ExitCode.NO
            prices = load_prices(settings, runtime.catalogue)
            outcome = await reconcile(export, log, runtime, options, prices=prices, read_totals=totals)
    _put(outcome.to_json(most)) if as_json else show(outcome, export, options, most)
    if outcome.outstanding:
        return ExitCode.TIMEOUT
    return ExitCode.OK if outcome.left.clean else ExitCode.NO


def show(outcome: Outcome, export: Export, options: Options, most: int) -> None:
    """Both sides, what differs, what was posted and what it changed."""
    found = outcome.found
    screen.put(f"export     {export.shape.value}, {money.plural(outcome.lines, 'call')}{_span(outcome.span_us)}")
    outside = f", {found.outside:,} outside of its time ({found.outside_estimated:,} estimated)" if found.outside else ""
    screen.put(f"agree      {money.plural(found.agreed, 'call')}{outside}")
    screen.put(f"differ     {_differ(found)}")
    for call in found.differing.first[:most]:
        screen.put(f"  {_changed(call)}")
    if options.dry_run:
        screen.put("posted     nothing: this is a dry run")
    else:
        screen.put(f"posted     {money.plural(outcome.adjustments, 'adjustment')} of {outcome.asked:,} asked for")
        if outcome.adjustments:
            screen.put(f"totals     {_changes(outcome)}")
    _show_group("only in the ledger", outcome.left.only_ledger, most)
    _show_group("only at the provider: not ours, lost, or not settled yet", outcome.left.only_provider, most)
    if outcome.outstanding:
        waiting = money.plural(outcome.outstanding, "adjustment")
        screen.say(f"penstock: {waiting} did not come in time; is a dispatcher running (`penstock doctor`)? Run it again later")
    elif outcome.left.differing.calls and not options.dry_run:
        screen.say("penstock: some calls still differ: somebody else reconciled them with another export; run it again")


def show_report(report: Report, most: int) -> None:
    """The buckets that differ; how many agree."""
    differing = [row for row in report.rows if row.differences]
    screen.put(f"{len(report.rows) - len(differing):,} of {money.plural(len(report.rows), 'bucket')} agree")
    for row in differing[:most]:
        screen.put(f"  {_bucket(row)}")
    if (more := len(differing) - most) > 0:
        screen.put(f"  and {more:,} more")
    if differing:
        screen.say("nothing was posted: a sum does not tell which call it belongs to; an export of calls does")


def _put(found: dict[str, Any]) -> None:
    screen.put_json(found)


def _span(span_us: tuple[int, int] | None) -> str:
    if span_us is None:
        return ", without their times"
    first, last = (from_kafka_ms(us // 1000) for us in span_us)
    return f", {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"


def _differ(found: Standing) -> str:
    group = found.differing
    if not group.calls:
        return "none"
    absent = f", {found.absent:,} that the provider does not have" if found.absent else ""
    return (
        f"{money.plural(group.calls, 'call')}, {found.estimates:,} charged as an estimate{absent}: "
        f"{group.input_tokens:+,} tokens in, {group.output_tokens:+,} out"
    )


def _changed(call: dict[str, Any]) -> str:
    estimate = " (an estimate)" if call["estimated"] else ""
    bills = (
        "the provider has no such call"
        if call["absent"]
        else f"the provider bills {call['provider_input_tokens']:,} in, {call['provider_output_tokens']:,} out"
    )
    return (
        f"{call['call_id']} of {call['request_id']}, {call['model']}: "
        f"charged {call['input_tokens']:,} in, {call['output_tokens']:,} out{estimate}; {bills}"
    )


def _changes(outcome: Outcome) -> str:
    before, after = outcome.before, outcome.after
    cost = f"{money.dollars(before['cost_nanousd'])} -> {money.dollars(after['cost_nanousd'])}"
    tokens = (
        f"{before['input_tokens']:,} -> {after['input_tokens']:,} tokens in, "
        f"{before['output_tokens']:,} -> {after['output_tokens']:,} out"
    )
    return f"{cost}; {tokens}; {before['estimated_calls']:,} -> {after['estimated_calls']:,} estimated"


def _show_group(title: str, group: Group, most: int) -> None:
    if not group.calls:
        return
    unpriced = f", {group.unpriced:,} of unknown price" if group.unpriced else ""
    screen.put(
        f"{title}: {money.plural(group.calls, 'call')}, {group.input_tokens:,} tokens in, {group.output_tokens:,} out, "
        f"{money.dollars(group.cost_nanousd)}{unpriced}"
    )
    for call in group.first[:most]:
        name = call.get("call_id") or call["id"]
        estimate = " (an estimate)" if call.get("estimated") else ""
        screen.put(
            f"  {name}, {call['provider']}/{call['model']}: {call['input_tokens']:,} in, {call['output_tokens']:,} out, "
            f"{money.cost(call['cost_nanousd'])}{estimate}"
        )


def _bucket(row: Compared) -> str:
    start = from_kafka_ms(row.start_us // 1000)
    changes = ", ".join(f"{name} {by:+,}" for name, by in row.differences.items())
    estimates = row.ours.estimated_calls
    why = f"; {money.plural(estimates, 'call')} of it charged as an estimate" if estimates else ""
    calls = "" if row.theirs.calls is None else f"; {row.theirs.calls:,} requests there, {row.ours.calls or 0:,} here"
    return f"{start:%Y-%m-%d %H:%M} UTC, {row.model or 'every model'}: the provider has {changes}{calls}{why}"
