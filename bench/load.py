"""Runs the driver and the raw relay as child processes."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from driver import Plan, plan_text
from machine import ROOT

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Load:
    """A driver that is connected and waits for its start."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()

    async def until(self, word: str) -> None:
        line = await self._line()
        if line.strip() != word:
            raise RuntimeError(f"the driver said {line!r} instead of {word!r}")

    async def result(self) -> dict[str, Any]:
        """What it measured. Raises RuntimeError when not every request was answered with success."""
        line = await self._line()
        if line.strip() == "published":
            line = await self._line()
        await self._process.wait()
        found: dict[str, Any] = json.loads(line)
        if found["statuses"] != {"ok": found["count"]}:
            raise RuntimeError(f"not every request succeeded: {found['statuses']}")
        return found

    async def _line(self) -> str:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the driver ended with exit code {await self._process.wait()}; see its message above")
        return line.decode()


@asynccontextmanager
async def load(plan: Plan) -> AsyncIterator[Load]:
    """A driver that is ready to go; it is gone afterwards."""
    script = str(ROOT / "bench" / "driver.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, plan_text(plan), stdin=PIPE, stdout=PIPE, env=_ENVIRONMENT, limit=2**20
    )
    try:
        started = Load(process)
        await started.until("ready")
        yield started
    finally:
        await _end(process)


async def measured(plan: Plan) -> dict[str, Any]:
    """One run of a plan, from start to end."""
    async with load(plan) as started:
        await started.go()
        return await started.result()


@asynccontextmanager
async def raw_relay(bootstrap_servers: str, requests_topic: str, responses_topic: str) -> AsyncIterator[int]:
    """The raw loop's middle process; yields its pid."""
    script = str(ROOT / "bench" / "raw_relay.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, script, bootstrap_servers, requests_topic, responses_topic, stdout=PIPE, env=_ENVIRONMENT
    )
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError("the raw relay did not start; see its message above")
        yield process.pid
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), timeout=10)
        except TimeoutError:
            process.kill()
            await process.wait()
