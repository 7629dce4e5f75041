"""Supervised children: started, watched, started again when they die, stopped in order.

1. A part that dies is started again after a pause that doubles from RESTART_FIRST_S to RESTART_CAP_S; one that then lived
   STEADY_S starts from the shortest pause again.
2. A part that ends with SETTINGS_EXIT_CODE said that the operator must act: it is given up, and so reported.
3. A stop that was asked for is never undone by a restart.
4. A part is not started again before what it needs runs: a worker without its broker would only take the CPU that the broker
   needs to come back. After NEEDED_WITHIN_S it is started all the same, and waits by itself.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from schemas.errors import SettingsError
from streams.embedded.events import Exited, Failed, Ready, Restarted, StackEvent, Starting, Stopped
from streams.embedded.parts import SETTINGS_EXIT_CODE
from streams.embedded.readiness import poll
from streams.embedded.spawner import Process

RESTART_FIRST_S = 0.25
RESTART_CAP_S = 15.0
STEADY_S = 30.0
NEEDED_WITHIN_S = 30.0


class Part(Protocol):
    """Something that runs as one child process: the broker, the cache, one worker of a role."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str | None:
        """Where its clients reach it; None when it has none."""
        ...

    async def start(self) -> Process:
        """Its process, once it is ready. Leaves nothing behind when it raises SettingsError or is cancelled."""
        ...


class State(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # for its next start
    FAILED = "failed"


class Child:
    """One part under supervision."""

    def __init__(
        self, part: Part, report: Callable[[StackEvent], None], *, needed_runs: Callable[[], bool] = lambda: True
    ) -> None:
        """`needed_runs`: whether the parts that this one needs run now."""
        self.part = part
        self.state = State.STOPPED
        self.restarts = 0
        self.process: Process | None = None
        self._report = report
        self._needed_runs = needed_runs
        self._watch: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process is not None and self.process.alive else None

    async def start(self) -> None:
        """Return when the part is ready. Raises SettingsError when it cannot become so."""
        self._report(Starting(self.name))
        began = _now_s()
        process = await self._run()
        self._report(Ready(self.name, process.pid, self.part.address, _now_s() - began))
        self._watch = asyncio.create_task(self._keep_running(process), name=f"watch {self.name}")

    @property
    def running(self) -> bool:
        """Whether it is ready and alive now."""
        return self.state is State.RUNNING and self.pid is not None

    async def stop(self, *, grace_s: float, number: int = signal.SIGTERM) -> None:
        """Stop it, and do not start it again: `number`, `grace_s`, SIGKILL. Nothing when it is stopped already."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
            self._watch = None
        if self.process is not None:
            exit_code = await self.process.stop(grace_s=grace_s, number=number)
            self.process = None
            self._report(Stopped(self.name, exit_code))
        self.state = State.STOPPED

    async def _run(self) -> Process:
        self.state = State.STARTING
        try:
            self.process = await self.part.start()
        except BaseException:  # cancelled or refused: either way it does not run, and the caller hears why
            self.state = State.STOPPED
            raise
        self.state = State.RUNNING
        return self.process

    async def _keep_running(self, process: Process) -> None:
        pause_s = RESTART_FIRST_S
        while True:
            began = _now_s()
            await asyncio.wait({process.exited})
            exit_code = process.exited.result()
            if exit_code == SETTINGS_EXIT_CODE:
                return self._give_up(f"ended with code {exit_code}: its settings need a change")
            if _now_s() - began >= STEADY_S:
                pause_s = RESTART_FIRST_S
            process = await self._start_again(exit_code, pause_s)
            pause_s = min(2 * pause_s, RESTART_CAP_S)

    async def _start_again(self, exit_code: int, pause_s: float) -> Process:
        while True:
            self.state = State.WAITING
            self._report(Exited(self.name, exit_code, pause_s))
            await asyncio.sleep(pause_s)
            await self._until_needed_run()
            self.restarts += 1
            try:
                process = await self._run()
            except SettingsError as error:
                # Its port may still be held by its former self, or a broker it needs may be away for longer than its patience.
                self._report(Failed(self.name, str(error)))
                pause_s = min(2 * pause_s, RESTART_CAP_S)
            else:
                self._report(Restarted(self.name, process.pid, self.restarts))
                return process

    async def _until_needed_run(self) -> None:
        async def they_run() -> bool:
            return self._needed_runs()

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NEEDED_WITHIN_S):
                await poll(they_run, every_s=0.02)

    def _give_up(self, reason: str) -> None:
        self.state = State.FAILED
        self._report(Failed(self.name, reason))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
