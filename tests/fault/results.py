"""What the cases came to: `faults.json`, one object a case, written after every repeat."""

import json
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.fault.case import Case, Observed

CLEAN = "clean"


@dataclass(slots=True)
class Tried:
    """The repeats of one case so far. `kept` is where the data of an unclean repeat are."""

    case: Case
    commit: str
    repeats: list[Observed] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    kept: Path | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def clean(self) -> bool:
        return all(not observed.problems for observed in self.repeats)

    @property
    def verdict(self) -> str:
        """`clean`, or what broke in the first unclean repeat."""
        return next(("; ".join(o.problems) for o in self.repeats if o.problems), CLEAN)

    def as_data(self) -> dict[str, Any]:
        recoveries = [o.recovery_s for o in self.repeats if o.recovery_s is not None]
        return {
            "case": self.case.id,
            "title": self.case.title,
            "verdict": self.verdict,
            "repeats": len(self.repeats),
            "requests": sum(o.requests for o in self.repeats),
            "duplicate_calls": sum(o.duplicate_calls for o in self.repeats),
            "estimated": sum(o.estimated for o in self.repeats),
            "recovery_s": _median_and_worst(recoveries),
            "repeat_s": _median_and_worst(self.seconds),
            "notes": sorted({note for o in self.repeats for note in o.notes}),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "commit": self.commit,
        }


def merge(path: Path, tried: Sequence[Tried]) -> None:
    """Put the cases into the file in place of their former entries; all other entries stay."""
    entries = {entry["case"]: entry for entry in (json.loads(path.read_text(encoding="utf-8")) if path.exists() else [])}
    entries |= {t.case.id: t.as_data() for t in tried if t.repeats}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(json.dumps(sorted(entries.values(), key=lambda e: order(e["case"])), indent=1) + "\n", encoding="utf-8")
    draft.replace(path)


def order(case_id: str) -> tuple[int, int, str]:
    """K1 to K10, then F1 to F28, each before its variants.

    >>> sorted(["F10", "K9", "F2", "K10", "F2-one-60"], key=order)
    ['K9', 'K10', 'F2', 'F2-one-60', 'F10']
    """
    number = case_id.partition("-")[0][1:]
    return (0 if case_id.startswith("K") else 1, int(number) if number.isdigit() else 0, case_id)


def commit_now() -> str:
    """The commit of the working tree, with `+` when it has changes; empty outside of a repository."""
    try:
        said = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return said.stdout.strip()


def _median_and_worst(values: Sequence[float]) -> dict[str, float] | None:
    return {"median": round(statistics.median(values), 2), "worst": round(max(values), 2)} if values else None
