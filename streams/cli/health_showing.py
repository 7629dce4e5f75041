"""Reads what the fleet knows of its deployments and shows it: what `penstock health` does."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processors.health.alerts import standing
from processors.health.fold import UNKNOWN, Circuit, DeploymentHealth, fold
from schemas.errors import RecordError
from schemas.health import AlertRaised, HealthEvent
from schemas.serde import Serde
from streams import clock, topics
from streams.beginning import At
from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.reading import Reader, Record, broker_errors, open_reader
from streams.cli.wire import open_serde
from streams.edge.operations_health import told
from streams.target import find_target

if TYPE_CHECKING:
    from rich.console import RenderableType

_LOOK_BACK = timedelta(minutes=15)
_REDRAW_S = 1.0
_TOPICS = (topics.HEALTH, topics.ALERTS)
_STYLE = {Circuit.CLOSED: "green", Circuit.HALF_OPEN: "yellow", Circuit.OPEN: "red"}
_ALERT_STYLE = {"critical": "red", "warning": "yellow"}


@dataclass(slots=True)
class Known:
    """What was read so far."""

    deployments: dict[str, DeploymentHealth] = field(default_factory=dict)
    told: list[AlertRaised] = field(default_factory=list)

    @property
    def alerts(self) -> list[AlertRaised]:
        """Those that stand, the oldest first."""
        return sorted(standing(self.told).values(), key=lambda alert: alert.since)

    def is_well(self) -> bool:
        return not self.alerts and all(h.opened_at is None for h in self.deployments.values())

    def take(self, record: Record, serde: Serde) -> None:
        """Raises RecordError when the record cannot be read."""
        if record.topic == topics.ALERTS:
            self.told.append(serde.of(AlertRaised).decode(record.value))
        else:
            event = serde.of(HealthEvent).decode(record.value)
            self.deployments[event.deployment] = fold(self.deployments.get(event.deployment, UNKNOWN), event)


async def run(bootstrap_servers: str | None, data_dir: Path | None, *, watch: bool, as_json: bool) -> ExitCode:
    """Print it, once or live. NO when something ails."""
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        serde = await open_serde(target.settings, list(_TOPICS))
        async with open_reader(target.settings, _TOPICS) as reader:
            known = Known()
            await _read(reader, known, serde)
            if watch:
                await _watch(reader, known, serde, as_json=as_json)
            elif as_json:
                screen.put_json(as_data(known, now=clock.now()))
            elif known.deployments or known.told:
                screen.console().print(drawn(known, now=clock.now()))
            else:
                screen.put("no call and no probe has told about any deployment within a quarter of an hour")
    return ExitCode.OK if known.is_well() else ExitCode.NO


async def _read(reader: Reader, known: Known, serde: Serde) -> None:
    """What stands there now: health of the last minutes, alerts from their beginning."""
    ends, begins = await reader.ends(), await reader.begins()
    await reader.seek(At(clock.now() - _LOOK_BACK))
    reader.place({partition: begin for partition, begin in begins.items() if partition.topic == topics.ALERTS})
    async for record in reader.until(ends):
        _take(known, record, serde)


async def _watch(reader: Reader, known: Known, serde: Serde, *, as_json: bool) -> None:
    async def follow() -> None:
        async for record in reader.follow():
            _take(known, record, serde)

    following = asyncio.create_task(follow())
    try:
        if as_json:
            while not following.done():
                screen.put_json(as_data(known, now=clock.now()))
                await asyncio.sleep(_REDRAW_S)
        else:
            await _live(known, following)
        following.result()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _live(known: Known, following: "asyncio.Task[None]") -> None:
    from rich.live import Live  # noqa: PLC0415

    with Live(console=screen.console(), auto_refresh=False) as live:
        while not following.done():
            live.update(drawn(known, now=clock.now()), refresh=True)
            await asyncio.sleep(_REDRAW_S)


def _take(known: Known, record: Record, serde: Serde) -> None:
    try:
        known.take(record, serde)
    except RecordError as error:
        screen.say(f"penstock: {record.topic}[{record.partition}]@{record.offset} is left out: {error}")


def drawn(known: Known, *, now: datetime) -> "RenderableType":
    """A table of the deployments, and a line for each alert that stands."""
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("deployment", "circuit"):
        table.add_column(title, overflow="fold")
    for title in ("success", "p50", "p95", "p99", "in flight", "headroom", "last call", "last probe"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in _rows(known, now):
        circuit = row["circuit"]
        style = _STYLE[circuit]
        shown = f"{circuit} ({row['opened_by']})" if row["opened_by"] else str(circuit)
        table.add_row(
            name,
            Text(shown + (", limited" if row["limited"] else ""), style=style),
            _percent(row["success_rate"]),
            *(_ms(row[quantile]) for quantile in ("p50_ms", "p95_ms", "p99_ms")),
            str(row["in_flight"]),
            _percent(row["headroom"]),
            *(_ago(row[at], now) for at in ("traffic_at", "probed_at")),
        )
    alerts = [
        Text(
            f"{a.severity}: {a.kind} {a.subject}, since {a.since:%Y-%m-%d %H:%M:%SZ}: {a.message}; {a.next_step}",
            style=_ALERT_STYLE.get(a.severity, ""),
        )
        for a in known.alerts
    ]
    return Group(table, *alerts)


def as_data(known: Known, *, now: datetime) -> dict[str, Any]:
    """The same as plain values."""
    deployments = [{"deployment": name, **row} for name, row in _rows(known, now)]
    return {"deployments": deployments, "alerts": known.alerts}


def _rows(known: Known, now: datetime) -> list[tuple[str, Mapping[str, Any]]]:
    return [(name, told(health, now, whole=True)) for name, health in sorted(known.deployments.items())]


def _percent(share: float | None) -> str:
    """A share, never rounded up to all of it.

    >>> _percent(None), _percent(1.0), _percent(0.9996), _percent(0.25)
    ('-', '100 %', '99.9 %', '25.0 %')
    """
    if share is None:
        return "-"
    return "100 %" if share == 1.0 else f"{int(share * 1000) / 10:.1f} %"


def _ms(value: float | None) -> str:
    """A latency in three digits.

    >>> _ms(None), _ms(12.4), _ms(1234.0), _ms(61_000.0)
    ('-', '12 ms', '1.23 s', '61.0 s')
    """
    if value is None:
        return "-"
    if value < 1000:
        return f"{value:.0f} ms"
    return f"{value / 1000:.2f} s" if value < 10_000 else f"{value / 1000:.1f} s"


def _ago(at: datetime | None, now: datetime) -> str:
    """How long ago something was, in one unit."""
    if at is None:
        return "-"
    passed_s = max((now - at).total_seconds(), 0.0)
    return f"{passed_s:.0f} s ago" if passed_s < 120 else f"{passed_s / 60:.0f} min ago"
