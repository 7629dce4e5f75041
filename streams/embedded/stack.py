"""The whole pipeline on one machine, as supervised child processes: what `penstock up`, the demo, tests and benches run.

Order: Kafka, Valkey, the schema catalogue and the simulator side by side; the topics, once Kafka answers; then all worker
roles side by side. A stop goes the other way: the workers drain while what they talk to still answers.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streams.bootstrap import create_topics
from streams.embedded.assembly import Assembler, Assembly
from streams.embedded.children import Child, Part
from streams.embedded.events import Downloading, Restarted, StackEvent
from streams.embedded.jars import Progress
from streams.embedded.plan import StackPlan
from streams.embedded.project import Project, RunningPart, StackInfo
from streams.embedded.readiness import poll
from streams.embedded.spawner import Spawner
from streams.settings import Settings

WORKER_GRACE_S = 25.5  # a worker drains for `drain_timeout_s`, 25 s by default
SERVICE_GRACE_S = 4.0  # the broker takes half a second


class Stack:
    """`async with Stack(plan) as stack`: everything runs and is ready inside the block, and nothing is left after it.

    `on_event` is called in the event loop. A role is named as in the plan, a service is `kafka`, `valkey`, `catalogue` or
    `simulator`.
    """

    def __init__(self, plan: StackPlan, *, on_event: Callable[[StackEvent], None] = lambda _: None) -> None:
        self._plan = plan
        self._on_event = on_event
        self._project = Project(plan.settings.data_dir)
        self._children: dict[str, list[Child]] = {}
        self._exit = AsyncExitStack()
        self._assembly: Assembly | None = None
        self._announcing = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when everything is ready. Raises SettingsError, with what to do next, and leaves nothing when it cannot."""
        try:
            await self._start()
        except BaseException:  # also a Ctrl-C on the way
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in order, within 30 s; nothing when it is stopped already."""
        self._announcing = False
        await self._exit.aclose()

    @property
    def settings(self) -> Settings:
        """The plan's settings with the addresses of what is embedded."""
        return self._assembled.settings

    @property
    def bootstrap_servers(self) -> str:
        return str(self.settings.bootstrap_servers)

    @property
    def simulator_log(self) -> Path | None:
        """The simulator's call log, which `verify` compares with the ledger."""
        return self._assembled.simulator_log

    @property
    def info(self) -> StackInfo:
        """What runs now, as other processes find it in `stack.json`."""
        return StackInfo(
            pid=os.getpid(),
            bootstrap_servers=self.bootstrap_servers,
            redis_url=self.settings.redis_url,
            schema_registry_url=self._assembled.catalogue_url or self.settings.schema_registry_url,
            simulator_url=self.settings.simulator_url,
            simulator_log=str(self.simulator_log) if self.simulator_log else None,
            providers=self._plan.providers,
            parts={
                child.name: RunningPart(child.pid, child.part.address, str(self._project.log(child.name)), child.restarts)
                for children in self._children.values()
                for child in children
                if child.pid is not None
            },
        )

    def pids(self, role: str) -> list[int]:
        """The processes of a role or service that run now."""
        return [child.pid for child in self._children[role] if child.pid is not None]

    async def kill(self, role: str, index: int = 0, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process. One that ends by it is started again, as after any death."""
        process = self._children[role][index].process
        if process is not None:
            process.send_signal(number)
            if number == signal.SIGKILL:
                await asyncio.wait({process.exited})

    async def until_running(self, role: str, *, timeout_s: float = 60.0) -> None:
        """Return when every process of the role runs and is ready. Raises TimeoutError."""

        async def all_run() -> bool:
            return all(child.running for child in self._children[role])

        async with asyncio.timeout(timeout_s):
            await poll(all_run, every_s=0.05)

    async def halt(self, role: str, *, number: int = signal.SIGTERM, grace_s: float = WORKER_GRACE_S) -> None:
        """End every process of a role or service, by `number`, and keep it down until `resume`."""
        await _together(child.stop(grace_s=grace_s, number=number) for child in self._children[role])
        self._announce()

    async def resume(self, role: str) -> None:
        """Start again what `halt` ended; return when it is ready."""
        await _together(child.start() for child in self._children[role])
        self._announce()

    async def restart_broker(self, *, number: int = signal.SIGTERM, down_s: float = 0.0) -> None:
        """Take the embedded Kafka away, by SIGKILL if told so, for `down_s`; return when it answers again."""
        await self.halt("kafka", number=number)
        await asyncio.sleep(down_s)
        await self.resume("kafka")

    async def _start(self) -> None:
        lock = await self._exit.enter_async_context(self._project.locked())
        self._exit.callback(self._project.withdraw)
        self._project.rotate_logs()
        spawner = await self._exit.enter_async_context(Spawner(log=self._project.log("leash"), held=(lock,)))
        assembly = self._assembly = Assembler(self._plan, self._project, spawner, self._progress()).assemble()
        self._children = {part.name: [self._child(part)] for part in assembly.services}
        self._exit.push_async_callback(self._stop_all, tuple(self._children), SERVICE_GRACE_S)
        await _together(self._start_service(name) for name in self._children)
        if "kafka" not in self._children:
            await self._create_topics()
        self._children |= {role: [self._worker(part) for part in parts] for role, parts in assembly.workers.items()}
        self._exit.push_async_callback(self._stop_all, tuple(assembly.workers), WORKER_GRACE_S)
        await _together(child.start() for role in assembly.workers for child in self._children[role])
        self._announcing = True
        self._announce()

    async def _start_service(self, name: str) -> None:
        await self._children[name][0].start()
        if name == "kafka":  # its topics need not wait for the other services
            await self._create_topics()

    async def _create_topics(self) -> None:
        await create_topics(self.settings, self._plan.providers, config=dict(self._plan.topic_config))

    async def _stop_all(self, names: Iterable[str], grace_s: float) -> None:
        await _together(child.stop(grace_s=grace_s) for name in names for child in self._children[name])

    def _child(self, part: Part) -> Child:
        return Child(part, self._report)

    def _worker(self, part: Part) -> Child:
        return Child(part, self._report, needed_runs=self._broker_runs)

    def _broker_runs(self) -> bool:
        return all(child.running for child in self._children.get("kafka", ()))

    def _report(self, event: StackEvent) -> None:
        if isinstance(event, Restarted):
            self._announce()
        self._on_event(event)

    def _announce(self) -> None:
        if self._announcing:
            self._project.announce(self.info)

    def _progress(self) -> Callable[[Progress], None]:
        loop = asyncio.get_running_loop()

        def on_progress(progress: Progress) -> None:
            event = Downloading("kafka", progress.done_bytes, progress.total_bytes)
            loop.call_soon_threadsafe(self._on_event, event)

        return on_progress

    @property
    def _assembled(self) -> Assembly:
        if self._assembly is None:
            raise RuntimeError("the stack has not been started")
        return self._assembly


async def _together(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run side by side; the first error cancels the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as errors:  # one reason is enough for the operator; its neighbours were cancelled
        raise errors.exceptions[0] from None
