import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from streams.embedded.spawner import Spawner
from tests.fakes.stack import kafka, valkey  # noqa: F401


@pytest.fixture
async def spawner(tmp_path: Path) -> AsyncIterator[Spawner]:
    async with Spawner(log=tmp_path / "leash.log", end_grace_s=1.0) as spawner:
        yield spawner


async def comes_true(condition: Callable[[], bool], *, within_s: float) -> bool:
    give_up = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether the process runs: a zombie that an adopting parent has not collected yet has ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
