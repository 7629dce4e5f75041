"""Arms the kill points of running processes, through the file that PENSTOCK_FAULT names."""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path

_HEARD_S = 0.06
"""A process looks at the file at the first point it passes this long after its last look."""


@dataclass(frozen=True, slots=True)
class Acted:
    """A fault that happened: where, in which process, when (Unix time). `about`: the request_id at K5, the call_id at K6-K10."""

    point: str
    pid: int
    at: float
    about: str


class Kills:
    """One arming at a time; each of its points acts in one process, once."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def arm(self, text: str) -> None:
        """Set `<point>:<nth>[:action]`, several separated by commas; what was armed before is off. Passings count from here."""
        await self.disarm()
        draft = self.file.with_name("arming")
        draft.write_text(text, encoding="ascii")
        draft.replace(self.file)

    async def disarm(self) -> None:
        self.file.unlink(missing_ok=True)
        await asyncio.sleep(_HEARD_S)
        for acted in self.file.parent.glob(f"{self.file.name}.*"):
            acted.unlink()

    async def acted(self, point: str, within_s: float) -> Acted:
        """What the point did. Raises TimeoutError when it did nothing in time."""
        file, give_up = self.file.with_name(f"{self.file.name}.{point}"), time.monotonic() + within_s
        while not file.exists():
            if time.monotonic() > give_up:
                raise TimeoutError(f"{point} was not passed often enough within {within_s:g} s")
            await asyncio.sleep(0.02)
        return Acted(**json.loads(file.read_text(encoding="utf-8")))
