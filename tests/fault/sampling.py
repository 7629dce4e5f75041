"""Memory, file descriptors and calls in flight of every process, sampled while a case runs."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psutil

from tests.fault import background
from tests.fault.fleet import Fleet

MOST_RSS_MB, MOST_FDS = 400, 400
"""Bounds of a worker in every case: idle it has about 100 MB and 30 descriptors, and each call in flight takes one more."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process. `at`: Unix seconds."""

    at: float
    name: str
    pid: int
    rss_mb: float
    fds: int


class Sampler:
    """`async with Sampler(fleet, in_flight)`: looks every `every_s`. `in_flight` gives the calls started and not reported."""

    def __init__(self, fleet: Fleet, in_flight: Callable[[], int], *, every_s: float = 1.0) -> None:
        self._fleet, self._in_flight, self._every_s = fleet, in_flight, every_s
        self.samples: list[Sample] = []
        self.most_in_flight = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look_on(), name="sampler")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await background.end(self._task)

    def problems(self) -> Iterator[str]:
        """Workers that were larger than any load of ours explains."""
        for name in sorted({s.name for s in self.samples}):
            if name.rpartition("-")[0] in self._fleet.spec.roles:
                rss_mb, fds = max(s.rss_mb for s in self.of(name)), max(s.fds for s in self.of(name))
                if rss_mb > MOST_RSS_MB or fds > MOST_FDS:
                    yield f"{name} took {rss_mb:.0f} MB and {fds} file descriptors; {MOST_RSS_MB} and {MOST_FDS} are the limits"

    def peak(self, name: str) -> Sample | None:
        """The largest sample, by memory, of the part `name`; None when it was never seen."""
        return max((s for s in self.samples if s.name == name), key=lambda s: s.rss_mb, default=None)

    def of(self, name: str) -> list[Sample]:
        """The samples of the part `name`, oldest first."""
        return [s for s in self.samples if s.name == name]

    async def _look_on(self) -> None:
        while True:
            self.most_in_flight = max(self.most_in_flight, self._in_flight())
            for name, pid in self._fleet.names().items():
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    process = psutil.Process(pid)
                    self.samples.append(Sample(time.time(), name, pid, process.memory_info().rss / 2**20, process.num_fds()))
            await asyncio.sleep(self._every_s)
