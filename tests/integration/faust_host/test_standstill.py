"""A loop that hung for longer than its session: what it had fetched is another's, and is not worked on once more."""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streams.faust_host import Delivered, each, host
from tests.fakes.stack import RunningKafka
from tests.integration.faust_host.rig import COMMIT_S, SETTLED_S, Rig, until

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]
COUNT = 20


@pytest.fixture
async def rig(kafka: RunningKafka) -> AsyncIterator[Rig]:
    async with Rig(kafka.bootstrap_servers, stock=False) as running:
        yield running


@pytest.mark.slow
async def test_what_was_fetched_before_a_standstill_is_not_handed_out(rig: Rig) -> None:
    topic, group = await rig.topic(), f"group-{uuid.uuid4().hex[:12]}"
    seen: list[bytes | None] = []
    # A long poll is under way at any time: its answer comes while the loop hangs.
    app = host(
        group,
        bootstrap_servers=rig.bootstrap_servers,
        commit_interval_s=COMMIT_S,
        session_timeout_ms=3_000,
        drain_timeout_s=2.0,
        fetch_max_wait_ms=30_000,
    )

    async def handle(record: Delivered) -> None:
        seen.append(record.value)

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await each(stream, handle, concurrency=4)

    async with app.running():
        await rig.produce(topic, b"before")
        assert await until(lambda: seen == [b"before"])
        await asyncio.sleep(SETTLED_S)
        argv = [sys.executable, "-m", "tests.integration.faust_host.successor", rig.bootstrap_servers, group, topic, str(COUNT)]
        subprocess.run(argv, cwd=ROOT, check=True, timeout=60)  # noqa: ASYNC221 - the loop is to hang
        await rig.produce(topic, b"after")
        assert await until(lambda: b"after" in seen)
    assert seen == [b"before", b"after"]
    assert await rig.committed(group, topic) == COUNT + 2
