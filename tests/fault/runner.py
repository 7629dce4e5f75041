"""Runs cases: those with equal specs on one stack, which is kept between clean repeats.

It is replaced after an unclean repeat; after REPEATS_A_STACK, since the checker reads the whole log each time; and when our code
has changed since it began: processes that are started again would run the new code beside the old, and a schema that was edited
in place is not the one that stands in the log.
"""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.fault.case import Case, Observed, StackSpec
from tests.fault.fleet import Fleet, running_fleet
from tests.fault.judging import Ledger
from tests.fault.kills import Kills
from tests.fault.results import Tried
from tests.fault.rig import Rig
from tests.fault.seen import Seen

_log = logging.getLogger(__name__)

REPEATS_A_STACK = 25
_HOME = Path(__file__).resolve().parents[2]


def code_version() -> float:
    """When our code last changed."""
    files = (file for package in ("schemas", "processors", "streams") for file in (_HOME / package).rglob("*.*"))
    return max(file.stat().st_mtime for file in files if file.suffix in {".py", ".avsc", ".yaml"})


@dataclass(frozen=True, slots=True)
class Bench:
    """A running stack and what watches it, for one repeat after the other."""

    fleet: Fleet
    seen: Seen
    kills: Kills
    ledger: Ledger
    code: float

    async def repeat(self, case: Case) -> Observed:
        """One repeat of the case. What it raises is a problem of its own; so is a stack that does not come up again."""
        try:
            await self._ready()
            rig = Rig(self.fleet, self.seen, self.kills, self.ledger)
            await rig.calm()
            async with rig.sampler, rig.offsets:
                return await case.run(rig)
        except Exception as error:  # noqa: BLE001 - whatever a case raises, the other cases go on
            return Observed(requests=0, problems=(f"{type(error).__name__}: {_said(error)}",))

    async def _ready(self) -> None:
        await self.kills.disarm()
        await self.fleet.resume_halted()
        await self.fleet.until_running()
        self.fleet.forgive()
        self.seen.forget()


@asynccontextmanager
async def open_bench(spec: StackSpec, folder: Path) -> AsyncIterator[Bench]:
    """A stack of the spec with its data below `folder`."""
    fault_file = folder / "faults" / "armed"
    fault_file.parent.mkdir()
    ledger = Ledger(folder / "acknowledged.jsonl", folder / "verified")
    code = code_version()
    async with running_fleet(spec, folder, fault_file) as fleet, Seen(fleet.stack.bootstrap_servers, spec.providers) as seen:
        yield Bench(fleet, seen, Kills(fault_file), ledger, code)


class Benches:
    """At most one bench at a time, made when a case needs it: `async with Benches() as benches`."""

    def __init__(self) -> None:
        self._exit = AsyncExitStack()
        self._bench: Bench | None = None
        self._folder: Path | None = None
        self._uses = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def of(self, spec: StackSpec) -> Bench:
        """The running bench when it has this spec, runs the code as it is now and is not worn, else a new one."""
        self._uses += 1
        bench = self._bench
        if bench is None or bench.fleet.spec != spec or bench.code != code_version() or self._uses > REPEATS_A_STACK:
            await self._close()
            self._uses = 1
            self._folder = Path(tempfile.mkdtemp(prefix="penstock-fault-"))
            bench = self._bench = await self._exit.enter_async_context(open_bench(spec, self._folder))
        return bench

    async def give_up(self) -> Path | None:
        """Stop the running bench, keep its data, and say where they are; None when there was none."""
        folder, self._folder, self._bench = self._folder, None, None
        try:
            await self._exit.aclose()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it does not work; aiokafka raises both
            _log.warning("the stack in %s did not end well: %s", folder, _said(error))
        return folder

    async def _close(self) -> None:
        folder, self._folder, self._bench = self._folder, None, None
        await self._exit.aclose()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


async def run_cases(
    cases: Iterable[Case], *, repeats: int, after: Callable[[Sequence[Tried], Tried], None], commit: str
) -> list[Tried]:
    """Every case, up to `repeats` times or its first unclean repeat. `after` hears of every repeat."""
    done: list[Tried] = []
    async with Benches() as benches:
        for case in grouped(cases):
            tried = Tried(case, commit)
            done.append(tried)
            for _ in range(min(repeats, case.repeats_at_most)):
                observed, seconds = await _timed(benches, case)
                tried.repeats.append(observed)
                tried.seconds.append(seconds)
                if observed.problems:
                    tried.kept = await benches.give_up()
                after(done, tried)
                if observed.problems:
                    break
    return done


async def _timed(benches: Benches, case: Case) -> tuple[Observed, float]:
    begun_s = time.monotonic()
    try:
        bench = await benches.of(case.stack)
        begun_s = time.monotonic()
        observed = await bench.repeat(case)
        if observed.problems and bench.code != code_version():
            observed = observed.also(notes=("our code was changed during this repeat",))
    except Exception as error:  # noqa: BLE001 - a stack that does not start is what this case came to
        observed = Observed(requests=0, problems=(f"no stack: {type(error).__name__}: {_said(error)}",))
    return observed, time.monotonic() - begun_s


def _said(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(f"{type(e).__name__}: {_said(e)}" for e in error.exceptions)
    return str(error) or repr(error)


def grouped(cases: Iterable[Case]) -> list[Case]:
    """The same cases, those with equal specs one after the other."""
    groups: list[list[Case]] = []
    for case in cases:
        group = next((g for g in groups if g[0].stack == case.stack), None)
        if group is None:
            groups.append([case])
        else:
            group.append(case)
    return [case for group in groups for case in group]
