"""The most memory a process has held since a moment, by the kernel's own count: no sample misses it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.fault.rig import Rig

_RESET_PEAK = "5"
"""Written to `clear_refs`: the peak begins anew at what is held now (proc(5))."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """What every worker process held at one moment, in MB, by its name and pid."""

    begin_mb: Mapping[tuple[str, int], float]

    @classmethod
    def from_now(cls, rig: Rig) -> Self:
        workers = {n: pid for n, pid in rig.fleet.names().items() if n.rpartition("-")[0] in rig.fleet.spec.roles}
        for pid in workers.values():
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        return cls({(name, pid): _status_mb(pid, "VmRSS") for name, pid in workers.items()})

    def growth_mb(self) -> dict[str, float]:
        """How far each has gone above that since. Raises FileNotFoundError when one has ended."""
        return {name: _status_mb(pid, "VmHWM") - begin for (name, pid), begin in self.begin_mb.items()}

    def problems(self, limit_mb: float) -> list[str]:
        return [
            f"{name} took {mb:.0f} MB more, the limit is {limit_mb:g}" for name, mb in self.growth_mb().items() if mb > limit_mb
        ]

    def note(self) -> str:
        name, mb = max(self.growth_mb().items(), key=lambda item: item[1])
        return f"{name} took {mb:.1f} MB more, the others less"


def _status_mb(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None, f"the kernel does not tell {field}"
    return int(found[1]) / 1024
