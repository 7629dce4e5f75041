"""The live view as text: figures, tables and rows that the terminal's screen and `--once` share. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streams import money
from streams.cli.top_board import Board

BY = ("model", "tenant", "hour")
"""What the spend may be shown by."""
REQUEST_COLUMNS = ("time", "tenant", "model", "answered by", "status", "took", "cache", "tokens", "cost")
LETTER_COLUMNS = ("time", "where", "stage", "reason", "message")
_BARS = "▁▂▃▄▅▆▇█"
_CIRCUITS = {"closed": "green", "half_open": "yellow", "open": "red"}
_GOOD = {"ok", "fallback", "duplicate"}
_LAST_ROWS = 20
_HOURS = 8


def figures(board: Board, width: int) -> RenderableType:
    """The last minute in numbers, money in words, and the last minutes as curves."""
    minute, spend, series = board.map_of("minute"), board.map_of("spend"), board.map_of("series")
    asked, served = minute.get("cache_asked", 0), minute.get("cache_served", 0)
    failed = minute.get("failed", 0)
    rate = Text.assemble(
        (f"{minute.get('requests_per_s', 0):.1f}", "bold"),
        " requests/s  ",
        *(part for name in ("p50", "p95", "p99") for part in (f"{name} ", (_took(minute.get(f"{name}_ms")), "bold"), "  ")),
        (f"{failed:,} failed", "bold red" if failed else "dim"),
        f"  cache {_share(served, asked)}",
    )
    bill = Text.assemble(
        "spent ",
        (_short_cost(spend.get("hour_nanousd", 0)), "bold"),
        " this hour, ",
        (_short_cost(spend.get("day_nanousd", 0)), "bold"),
        f" in 24 hours; saved {_short_cost(spend.get('day_avoided_nanousd', 0))}",
    )
    if unpriced := spend.get("day_unpriced_calls", 0):
        bill.append(f"; {money.plural(unpriced, 'call')} without a price", style="yellow")
    room = max(10, width - 22)
    curves = [
        Text.assemble((f"{label:<11}", "dim"), sparkline(series.get(name, ()), room), f" {_peak(name, series.get(name, ()))}")
        for label, name in (("requests/s", "answered"), ("p95", "p95_ms"))
    ]
    return Group(rate, bill, *curves)


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last values as bars, none higher than a line; a second without a value is a gap.

    >>> sparkline([0, 1, None, 4, 8], 4)
    '▂ ▅█'
    >>> sparkline([], 3)
    ''
    """
    shown = values[-width:]
    most = max((value for value in shown if value), default=0)
    if not most:
        return "".join(" " if value is None else _BARS[0] for value in shown)
    return "".join(" " if value is None else _BARS[min(7, round(value / most * 7.49))] for value in shown)


def spend(board: Board, by: str, *, hours: int = _HOURS) -> RenderableType:
    """What was spent in the last 24 hours, by model or tenant the dearest first, by hour the latest first."""
    known = board.map_of("spend")
    rows = known.get(f"by_{by}") or []
    if by == "hour":
        rows = list(reversed(rows))[:hours]
    table = _table(by, right=("cost", "calls", "cache hits", "saved"))
    for row in rows:
        name = "the rest" if row["name"] is None else _hour(row["name"]) if by == "hour" else row["name"]
        cells = (f"{row['calls']:,}", f"{row['cache_hits']:,}", _short_cost(row["avoided_nanousd"]))
        table.add_row(_cell(name), _short_cost(row["cost_nanousd"]), *cells)
    if not rows:
        return Text("nothing was spent", style="dim")
    return Group(table, Text("(sums are too low: there is more than is kept)", style="yellow")) if known.get("partial") else table


def health(board: Board, *, brief: bool = False) -> RenderableType:
    """The deployments with their circuits, those that ail first; `brief` leaves out what an operator looks at last."""
    rows = sorted(board.list_of("health"), key=lambda row: (row["circuit"] == "closed", row["deployment"]))
    if not rows:
        return Text("no deployment was called lately", style="dim")
    table = _table("deployment", "circuit", right=("success", "p95") if brief else ("success", "p95", "in flight", "headroom"))
    for row in rows:
        circuit = str(row["circuit"]).replace("_", " ")
        told = "".join(
            (circuit, f" ({row['opened_by']})" if row.get("opened_by") else "", ", limited" if row.get("limited") else "")
        )
        cells = [_percent(row.get("success_rate")), _took(row.get("p95_ms"))]
        if not brief:
            cells += ["-" if row.get("in_flight") is None else str(row["in_flight"]), _percent(row.get("headroom"))]
        table.add_row(_cell(row["deployment"]), _cell(told, _CIRCUITS.get(str(row["circuit"]), "")), *cells)
    return table


def lag(board: Board) -> RenderableType:
    """How far each group is behind. A tenant's key is not told."""
    rows = board.list_of("lag")
    if board.fields.get("lag") is None:
        return Text("not told" if board.fields.get("tenant") else "not known yet", style="dim")
    table = _table("group", "topic", right=("behind",))
    for row in sorted(rows, key=lambda row: -row["records"]):
        table.add_row(_cell(row["group"]), _cell(row["topic"]), f"{row['records']:,}")
    return table if rows else Text("nobody is behind", style="dim")


def request_row(entry: Mapping[str, Any]) -> tuple[Text, ...]:
    """The cells of one answer, as REQUEST_COLUMNS has them."""
    status = str(entry["status"]) + (f": {entry['error']}" if entry.get("error") else "")
    cost = entry.get("cost_nanousd")
    return (
        _cell(_clock(entry["answered_at"])),
        _cell(entry["tenant"]),
        _cell(entry.get("model")),
        _cell(entry.get("deployment")),
        _cell(status, "" if entry["status"] in _GOOD else "red"),
        _cell(_took(entry.get("latency_ms"))),
        _cell(entry.get("cache")),
        _cell(f"{_count(entry.get('input_tokens'))}/{_count(entry.get('output_tokens'))}"),
        _cell("unknown" if cost is None else _short_cost(cost)),
    )


def letter_row(entry: Mapping[str, Any]) -> tuple[Text, ...]:
    """The cells of one dead letter, as LETTER_COLUMNS has them."""
    return (
        _cell(_clock(entry["seen_at"])),
        _cell(f"{entry['topic']}[{entry['partition']}]@{entry['offset']}"),
        _cell(entry["stage"]),
        _cell(entry["reason"], "red"),
        _cell(entry["message"]),
    )


def lineage(answer: Mapping[str, Any]) -> Text:
    """What is known of one request."""
    lines = answer.get("explanation") or (f"{answer.get('request_id')}: {answer.get('status')}; the log has no more of it",)
    return Text("\n").join(_cell(line) for line in lines)


def page(board: Board, *, url: str, width: int) -> RenderableType:
    """All of it, one below the other."""
    whose = board.fields.get("tenant")
    parts: list[RenderableType] = [
        Text(f"{url}  {'all tenants' if whose is None else f'tenant {whose}'}  {board.fields.get('at', '')}", style="dim"),
        figures(board, width),
    ]
    for by in BY:
        parts += ["", Text(f"Spend by {by}", style="bold"), spend(board, by)]
    parts += ["", Text("Providers", style="bold"), health(board), "", Text("Lag", style="bold"), lag(board)]
    for title, columns, rows in (
        ("Last requests", REQUEST_COLUMNS, [request_row(entry) for entry in reversed(board.list_of("requests"))]),
        ("Dead letters", LETTER_COLUMNS, [letter_row(entry) for entry in reversed(board.list_of("dead_letters"))]),
    ):
        parts += ["", Text(title, style="bold"), _rows(columns, rows[:_LAST_ROWS]) if rows else Text("none", style="dim")]
    return Group(*parts)


def titled(title: str, body: RenderableType) -> RenderableType:
    """A part below its title."""
    return Group(Text(title, style="bold"), body)


def _rows(columns: Iterable[str], rows: Iterable[Sequence[Text]]) -> Table:
    table = _table(*columns)
    for row in rows:
        table.add_row(*row)
    return table


def _table(*left: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for title in left:
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _short_cost(nanousd: int) -> str:
    """An amount for a glance: cents from a dollar on, else the first digits that are not zero.

    >>> _short_cost(1_234_567_890_000), _short_cost(1_836_900), _short_cost(0), _short_cost(59)
    ('$1,234.57', '$0.0018', '$0.00', '$0.000000059')
    """
    if nanousd == 0 or abs(nanousd) >= 1_000_000_000:
        cents = (abs(nanousd) + 5_000_000) // 10_000_000
        return f"{'-' if nanousd < 0 else ''}${cents // 100:,}.{cents % 100:02d}"
    step = 10 ** max(0, len(str(abs(nanousd))) - 2)
    return money.dollars((nanousd + step // 2) // step * step)


def _peak(name: str, values: Iterable[float | None]) -> str:
    most = max((value for value in values if value is not None), default=0)
    return f"≤ {_took(most)}" if name.endswith("_ms") else f"≤ {most:,.0f}"


def _took(latency_ms: float | None) -> str:
    return "-" if latency_ms is None else money.duration(latency_ms)


def _share(part: int, whole: int) -> str:
    """A part of a whole, as percent and in numbers.

    >>> _share(1, 3), _share(0, 0)
    ('33 % (1 of 3)', 'not asked')
    """
    return f"{part * 100 // whole} % ({part:,} of {whole:,})" if whole else "not asked"


def _percent(share: float | None) -> str:
    return "-" if share is None else "100 %" if share == 1.0 else f"{int(share * 1000) / 10:.1f} %"


def _count(tokens: int | None) -> str:
    return "-" if tokens is None else f"{tokens:,}"


def _clock(at: str) -> str:
    """The time of day of an ISO 8601 time.

    >>> _clock("2026-01-05T10:00:00.512Z")
    '10:00:00'
    """
    return at[11:19]


def _hour(at: str) -> str:
    return f"{at[:10]} {at[11:16]}"


def _cell(value: Any, style: str = "") -> Text:
    r"""Text of others' for a terminal: nothing in it moves the cursor, and nothing is markup.

    >>> _cell("a\x1b[2J [red]").plain, _cell(None).plain
    ('a?[2J [red]', '-')
    """
    return Text("-" if value is None else "".join(char if char.isprintable() else "?" for char in str(value)), style)
