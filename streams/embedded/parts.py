"""The parts of a stack that are our own programs: worker roles, the schema catalogue, the simulator."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from schemas.errors import SettingsError
from streams.embedded.readiness import poll, until_ready
from streams.embedded.spawner import Process, Spawner

READY_FILE_VARIABLE = "PENSTOCK_READY_FILE"
SETTINGS_EXIT_CODE = 2


@dataclass(slots=True)
class Program:
    """A program of ours that writes the file named by PENSTOCK_READY_FILE, or answers at `probe_port`, when it is ready.

    With a `metrics_host` it serves its metrics there, on another port at each start: `address` is found once it is ready.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    run_dir: Path
    spawner: Spawner
    address: str | None = None
    probe_port: int | None = None
    metrics_host: str | None = None
    ready_timeout_s: float = 120.0
    cwd: Path = field(default_factory=Path.cwd)

    async def start(self) -> Process:
        """Its process, once it is ready. Raises SettingsError, with its own last words when it refused its settings."""
        ready_file = self.run_dir / f"{self.name.replace(':', '-')}.ready"
        ready_file.unlink(missing_ok=True)
        environment = {**self.environment, READY_FILE_VARIABLE: str(ready_file)}
        process = await self.spawner.spawn(self.name, self.argv, env=environment, log=self.log, cwd=self.cwd)

        async def is_ready() -> bool:
            return ready_file.is_file() if self.probe_port is None else await _answers_http(self.probe_port)

        probe = poll(is_ready, every_s=0.02)
        try:
            await until_ready(process, probe, timeout_s=self.ready_timeout_s, log=self.log)
        except SettingsError as error:
            if not process.alive and process.exited.result() == SETTINGS_EXIT_CODE:
                raise SettingsError(f"{self.name} refused to start: {last_line(self.log)}") from error
            raise
        if self.metrics_host is not None:
            port = listens_on(process.pid)
            self.address = f"http://{self.metrics_host}:{port}/metrics" if port else None
        return process


def listens_on(pid: int) -> int | None:
    """The port that a process listens on, as the kernel knows it; None when there is none, or the process has ended."""
    try:
        sockets = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return None
    return next((socket.laddr.port for socket in sockets if socket.status == psutil.CONN_LISTEN), None)


async def _answers_http(port: int) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.")
    except ConnectionError:
        return False
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def last_line(log: Path) -> str:
    """The last line of a log that is not blank, for a message; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
