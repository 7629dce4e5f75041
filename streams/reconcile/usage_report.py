"""Compares a provider's usage report, sums of time buckets, with the same sums of the ledger. Nothing is posted."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from processors.reconcile.buckets import Compared, Comparison
from schemas.ledger import CostEvent
from schemas.serde import Serde
from streams.reconcile.export import Export
from streams.reconcile.ledger import Ledger, Log


@dataclass(frozen=True, slots=True)
class Report:
    """Every bucket and model, both sides."""

    rows: tuple[Compared, ...]

    @property
    def clean(self) -> bool:
        return not any(row.differences for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """One object; times are Unix seconds."""
        return {"clean": self.clean, "posted": 0, "buckets": [_row(row) for row in self.rows]}


async def compare(export: Export, log: Log, serde: Serde) -> Report:
    """Read the ledger once and sum it up by the report's buckets. Raises SettingsError for a report that cannot be read."""
    comparison = Comparison(export.buckets())

    def take(events: Iterable[CostEvent]) -> None:
        for event in events:
            comparison.add(event)

    await Ledger(log, serde, take).catch_up()
    return Report(tuple(comparison.rows()))


def _row(row: Compared) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "model": row.model,
        "start": row.start_us // 1_000_000,
        "end": row.end_us // 1_000_000,
        "provider_says": asdict(row.theirs),
        "ledger_says": asdict(row.ours),
        "differences": row.differences,
    }
