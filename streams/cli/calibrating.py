"""Reads the end of the ledger and shows how far the token estimate is off: what `penstock calibration` does."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processors.classify.calibration import ENOUGH, PERCENTILES, Calibration, Told, calibrations, learn, told
from schemas.errors import RecordError
from schemas.ledger import CostEvent
from streams import topics
from streams.cli import screen
from streams.cli.reading import broker_errors, open_reader
from streams.cli.wire import open_serde
from streams.settings import Settings
from streams.target import find_target

if TYPE_CHECKING:
    from rich.table import Table


async def run(bootstrap_servers: str | None, data_dir: Path | None, *, last: int, as_json: bool) -> None:
    """Print it. Raises SettingsError when Kafka is away."""
    target = find_target(bootstrap_servers, data_dir)
    with broker_errors(target.settings):
        found = calibrations(learn({}, await _calls(target.settings, last))).values()
    if as_json:
        screen.put_json(as_data(found))
    elif found:
        screen.console().print(drawn(found))
        if not all(by.enough for by in found):
            screen.say(f"a model with fewer than {ENOUGH} calls keeps its estimates as they are")
    else:
        screen.put("no call has told yet what its input came to")


async def _calls(settings: Settings, last: int) -> list[Told]:
    """What the last records of each partition tell."""
    serde = await open_serde(settings, [topics.COSTS])
    codec = serde.of(CostEvent)
    calls: list[Told] = []
    async with open_reader(settings, [topics.COSTS]) as reader:
        ends, begins = await reader.ends(), await reader.begins()
        reader.place({partition: max(begins[partition], end - last) for partition, end in ends.items()})
        async for record in reader.until(ends):
            try:
                call = told(codec.decode(record.value))
            except RecordError as error:
                screen.say(f"penstock: {record.topic}[{record.partition}]@{record.offset} is left out: {error}")
                continue
            if call is not None:
                calls.append(call)
    return calls


def drawn(found: Iterable[Calibration]) -> "Table":
    """A table: a line for each model."""
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("provider", "model"):
        table.add_column(title, overflow="fold")
    for title in ("calls", *(f"p{percent}" for percent in PERCENTILES), "factor"):
        table.add_column(title, justify="right", no_wrap=True)
    for by in found:
        shares = (f"{by.percentiles[percent]:.2f}" for percent in PERCENTILES)
        table.add_row(by.provider, by.model, f"{by.calls:,}", *shares, f"{by.factor:.2f}" if by.enough else "-")
    return table


def as_data(found: Iterable[Calibration]) -> dict[str, Any]:
    """The same as plain values. `used`: enough calls speak for the factor."""
    return {"models": [_row(by) for by in found]}


def _row(by: Calibration) -> dict[str, Any]:
    shares = {f"p{percent}": by.percentiles[percent] for percent in PERCENTILES}
    return {"provider": by.provider, "model": by.model, "calls": by.calls, **shares, "factor": by.factor, "used": by.enough}
