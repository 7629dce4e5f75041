"""What every stage works on: the whole pipeline on an embedded stack, and a raw loop on the same broker."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from driver import Plan
from load import load, measured, raw_relay
from machine import ROOT, Processes, used
from rich.console import Console

from streams import topics
from streams.embedded.assembly import EDGE
from streams.embedded.events import Exited, Failed, StackEvent
from streams.embedded.plan import StackPlan, every_role
from streams.embedded.stack import Stack
from streams.settings import Settings

PROVIDER = "openai"
RAW_REQUESTS, RAW_RESPONSES = "bench.raw.requests", "bench.raw.responses"
SERVICES = ("kafka", "valkey", "catalogue", "simulator")
_out = Console(stderr=True)


@dataclass(slots=True)
class Rig:
    """The running stack, and the samples by name that the stages leave: a list each, one value a round."""

    stack: Stack
    relay_pid: int
    samples: dict[str, list[float]] = field(default_factory=dict)
    by_process: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    _runs: Any = field(default_factory=count)

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(every_role((PROVIDER,)))

    def keep(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)

    def keep_by_process(self, name: str, values: Mapping[str, float]) -> None:
        kept = self.by_process.setdefault(name, {})
        for process, value in values.items():
            kept.setdefault(process, []).append(value)

    def processes(self) -> Processes:
        names = (*self.roles, *SERVICES)
        return Processes({name: self.stack.pids(name) for name in names} | {"raw relay": [self.relay_pid]})

    def plan(self, requests: int, **more: Any) -> Plan:
        """A plan for the pipeline, with tenants and requests that were never used before."""
        return Plan(
            self.stack.bootstrap_servers,
            topics.REQUESTS,
            topics.RESPONSES,
            tag=f"run{next(self._runs)}",
            count=requests,
            **more,
        )

    def raw_plan(self, requests: int, **more: Any) -> Plan:
        """The same load on the raw loop."""
        return Plan(
            self.stack.bootstrap_servers,
            RAW_REQUESTS,
            RAW_RESPONSES,
            tag=f"raw{next(self._runs)}",
            count=requests,
            **more,
        )

    async def run(self, plan: Plan) -> dict[str, Any]:
        return await measured(plan)

    async def run_with_cpu(self, plan: Plan) -> tuple[dict[str, Any], dict[str, float]]:
        """The run, and CPU milliseconds a request by process."""
        async with load(plan) as started:
            processes = self.processes()
            before = processes.cpu_s()
            await started.go()
            found = await started.result()
            spent = used(before, processes.cpu_s())
        return found, {name: cpu_s * 1000 / plan.count for name, cpu_s in spent.items()}

    async def lag(self, group: str, *names: str) -> int:
        """Records of these topics that the group has not committed yet."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.bootstrap_servers)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(group)
            ends = await self._ends(names)
        finally:
            await admin.close()
        return sum(end - max(0, committed[tp].offset if tp in committed else 0) for tp, end in ends.items())

    async def _ends(self, names: tuple[str, ...]) -> dict[TopicPartition, int]:
        from aiokafka import AIOKafkaConsumer  # noqa: PLC0415

        consumer = AIOKafkaConsumer(*names, bootstrap_servers=self.stack.bootstrap_servers)
        await consumer.start()
        try:
            return await consumer.end_offsets(consumer.assignment())
        finally:
            await consumer.stop()


@contextmanager
def data_dir() -> Iterator[Path]:
    """A data directory for one run. It goes away, unless something fails: then it is said where it is."""
    parent = ROOT / ".penstock" / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    found = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    try:
        yield found
    except BaseException:
        _out.print(f"what the processes said is below {found}")
        raise
    else:
        shutil.rmtree(found, ignore_errors=True)


def inherited() -> dict[str, str]:
    """The environment that the processes of a stack get: without what would steer Penstock."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}


def show_trouble(event: StackEvent) -> None:
    if isinstance(event, Exited | Failed):
        _out.print(event)


@asynccontextmanager
async def open_rig(data_dir: Path, *, on_event: Any, edges: int = 0) -> AsyncIterator[Rig]:
    """Everything running, in `data_dir`; `edges` processes of the HTTP edge, without keys, if any are wanted."""
    plan = StackPlan(
        settings=Settings(_env_file=None, data_dir=data_dir, edge_insecure_local=edges > 0),
        providers=(PROVIDER,),
        roles={**every_role((PROVIDER,)), **({EDGE: edges} if edges else {})},
        environment=inherited(),
        simulator=True,
    )
    async with Stack(plan, on_event=on_event) as stack:
        await _raw_topics(stack)
        async with raw_relay(stack.bootstrap_servers, RAW_REQUESTS, RAW_RESPONSES) as relay_pid:
            yield Rig(stack, relay_pid)


async def _raw_topics(stack: Stack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, stack.settings.partitions, 1) for name in (RAW_REQUESTS, RAW_RESPONSES)])
    finally:
        await admin.close()
