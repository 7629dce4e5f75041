"""A running stack made of a StackSpec, and its processes one by one."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from streams.embedded.children import Child, State
from streams.embedded.events import Exited, Failed, StackEvent
from streams.embedded.plan import StackPlan
from streams.embedded.ports import LOOPBACK, free_port
from streams.embedded.readiness import poll
from streams.embedded.spawner import Process
from streams.embedded.stack import Stack
from streams.settings import Settings
from tests.fakes.stack import FAST_BROKER
from tests.fault.case import StackSpec

SERVICES = ("kafka", "valkey", "catalogue", "simulator")
_STOPPED_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended: its exit code (minus the signal's number), and how long that took from the signal on."""

    pid: int
    exit_code: int
    took_s: float


class Fleet:
    """The processes of a stack. A role is named as in the spec, a service is one of SERVICES; `index` counts within a role."""

    def __init__(self, spec: StackSpec, stack: Stack, folder: Path, exits: list[tuple[float, Exited | Failed]]) -> None:
        self.spec, self.stack, self.folder = spec, stack, folder
        self.exits = exits
        """Deaths and refusals to start that nobody asked the stack for, with their Unix times."""

    def names(self) -> dict[str, int]:
        """The pid of every process that runs, by its part's name (`intake-0`, `calls:openai-1`, `kafka`)."""
        return {c.name: c.pid for children in self.stack._children.values() for c in children if c.pid is not None}

    def pid(self, role: str, index: int = 0) -> int:
        return self._process(role, index).pid

    async def send(self, role: str, number: int, *, index: int | None = 0) -> None:
        """Send a signal to one process of a role, or to all (`index=None`); after SIGKILL and SIGSTOP it has had its effect.

        One that ends by it is started again by the stack, as after any death.
        """
        indexes = range(len(self.stack._children[role])) if index is None else (index,)
        processes = [self._process(role, i) for i in indexes]
        for process in processes:
            process.send_signal(number)
        if number == signal.SIGKILL:
            await asyncio.wait({process.exited for process in processes})
        if number == signal.SIGSTOP:
            async with asyncio.timeout(_STOPPED_WITHIN_S):
                await asyncio.gather(*(poll(lambda pid=p.pid: _is_stopped(pid), every_s=0.01) for p in processes))

    async def end(self, role: str, number: int = signal.SIGTERM, *, index: int = 0, within_s: float = 60.0) -> Ended:
        """Send a signal and wait for the end of the process. Raises TimeoutError. The stack starts it again."""
        process, begun = self._process(role, index), time.monotonic()
        process.send_signal(number)
        async with asyncio.timeout(within_s):
            code = await asyncio.shield(process.exited)
        return Ended(process.pid, code, time.monotonic() - begun)

    async def kill_everything(self, services: tuple[str, ...] = ("kafka", "valkey")) -> float:
        """kill -9 of every worker and of the services named, all at once; the Unix time when all were dead."""
        processes = [
            c.process
            for name, children in self.stack._children.items()
            for c in children
            if (name in self.spec.roles or name in services) and c.process is not None and c.process.alive
        ]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        await asyncio.wait({process.exited for process in processes})
        return time.time()

    async def until_running(self, *, timeout_s: float = 60.0) -> None:
        """Return when every process of every role and service runs and is ready. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            for name in self.stack._children:
                await self.stack.until_running(name, timeout_s=timeout_s)

    async def resume_halted(self) -> None:
        """Start what a case has halted or the stack has given up, and let go on what is paused; services before workers."""
        for children in self.stack._children.values():
            for child in children:
                if child.process is not None:
                    child.process.send_signal(signal.SIGCONT)
            down = [child for child in children if child.state in {State.STOPPED, State.FAILED}]
            await asyncio.gather(*(_start_anew(child) for child in down))

    def forgive(self) -> None:
        """Forget earlier deaths: each child's next restart waits for the shortest pause again."""
        for children in self.stack._children.values():
            for child in children:
                if child.running:
                    _watch_anew(child)
        self.exits.clear()

    def log(self, name: str) -> Path:
        """The log of a part, by its name."""
        return self.stack._project.log(name)

    def log_sizes(self) -> dict[str, int]:
        """Where every log ends now, by the part's name."""
        names = [c.name for children in self.stack._children.values() for c in children]
        return {name: log.stat().st_size if (log := self.log(name)).exists() else 0 for name in names}

    def _process(self, role: str, index: int) -> Process:
        process = self.stack._children[role][index].process
        if process is None or not process.alive:
            raise ProcessLookupError(f"{role}-{index} does not run now")
        return process


async def _start_anew(child: Child) -> None:
    await child.stop(grace_s=_STOPPED_WITHIN_S)
    await child.start()


def _watch_anew(child: Child) -> None:
    assert child._watch is not None
    assert child.process is not None
    child._watch.cancel()
    child._watch = asyncio.create_task(child._keep_running(child.process), name=f"watch {child.name}")


async def _is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@asynccontextmanager
async def running_fleet(spec: StackSpec, folder: Path, fault_file: Path) -> AsyncIterator[Fleet]:
    """The stack of a spec with its data below `folder`; all of it is gone after the block, but for the data."""
    catalogue, profiles = folder / "deployments.json", folder / "profiles.json"
    catalogue.write_text(json.dumps(spec.catalogue), encoding="utf-8")
    profiles.write_text(json.dumps(spec.profiles), encoding="utf-8")
    plan = StackPlan(
        settings=_settings(spec, folder / "data", catalogue),
        providers=spec.providers,
        roles=dict(spec.roles),
        environment={**_inherited(os.environ), "PENSTOCK_FAULT": f"@{fault_file}", **spec.environment},
        simulator=True,
        simulator_profile=profiles,
        broker_overrides={**FAST_BROKER, **spec.broker},
        topic_config=dict(spec.topic_config),
    )
    exits: list[tuple[float, Exited | Failed]] = []

    def on_event(event: StackEvent) -> None:
        if isinstance(event, Exited | Failed):
            exits.append((time.time(), event))

    async with Stack(plan, on_event=on_event) as stack:
        yield Fleet(spec, stack, folder, exits)


def _settings(spec: StackSpec, data_dir: Path, catalogue: Path) -> Settings:
    own = {
        "data_dir": data_dir,
        "deployments_file": catalogue,
        "session_timeout_ms": spec.session_timeout_ms,
        "transaction_timeout_ms": 10_000,
        "lost_grace_s": 1.0,
    }
    if not spec.valkey:
        own["redis_url"] = f"redis://{LOOPBACK}:{free_port()}/0"
    return Settings(_env_file=None, **{**own, **spec.settings})


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what would steer Penstock: a case says all of it itself."""
    return {name: value for name, value in environment.items() if not name.startswith("PENSTOCK_") and not name.endswith("_URL")}
