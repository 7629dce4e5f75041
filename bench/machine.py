"""Where a figure was measured, and what processes used."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent


def described() -> dict[str, Any]:
    """Commit, machine and time: without them a figure says nothing."""
    return {
        "commit": _git("rev-parse", "--short", "HEAD") or "none",
        "dirty": bool(_git("status", "--porcelain")),
        "machine": {
            "cpu": _cpu(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


class Processes:
    """Named groups of processes: their CPU time and memory."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._of = {name: [psutil.Process(pid) for pid in group] for name, group in pids.items()}

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, user and system."""
        return {name: sum(sum(p.cpu_times()[:2]) for p in group) for name, group in self._of.items()}

    def rss_mb(self) -> dict[str, float]:
        """Resident memory in MB (10**6 bytes), the largest process of each group."""
        return {name: max(p.memory_info().rss for p in group) / 1e6 for name, group in self._of.items() if group}


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in before}


def _git(*arguments: str) -> str:
    found = subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
