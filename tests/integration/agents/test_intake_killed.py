"""Promise 4 at the first hop: a kill -9 before the produce is acknowledged (K1) loses no request; SIGTERM ends in order."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.requests import InferenceRequest, Message
from schemas.routing import RequestRouted
from streams import topics
from streams.publisher import Outgoing
from streams.runtime import open_runtime
from streams.settings import Settings
from tests.integration.agents.conftest import WAIT_S, Log, publish

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topics_made")]

REQUESTS = 300
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def intake_process(settings: Settings, fault: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "PENSTOCK_APP": settings.app,
        "PENSTOCK_BOOTSTRAP_SERVERS": settings.bootstrap_servers or "",
        "PENSTOCK_SIMULATOR_URL": settings.simulator_url or "",
        "PENSTOCK_SESSION_TIMEOUT_MS": "1000",
        "PENSTOCK_INTAKE_BATCH": "50",
        "PENSTOCK_FAULT": fault,
        "REDIS_URL": settings.redis_url or "",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams.cli.main", "worker", "--role", "intake", cwd=ROOT, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.slow
async def test_a_kill_before_the_produce_is_acknowledged_loses_nothing(settings: Settings, tenant: str):
    async with open_runtime(settings, "test") as runtime:
        requests = [InferenceRequest(f"r{n}", tenant, "auto", messages=(Message("user", f"q{n}"),)) for n in range(REQUESTS)]
        await publish(runtime, [Outgoing(topics.REQUESTS, tenant, runtime.serde.encode(r)) for r in requests])
        async with intake_process(settings, fault="K1:2") as killed, asyncio.timeout(3 * WAIT_S):
            assert await killed.wait() == -signal.SIGKILL
        async with intake_process(settings) as process:
            found = await Log(settings, runtime.serde).read(
                topics.ROUTED, RequestRouted, where=lambda r: r.tenant == tenant, count=REQUESTS, settle_s=2.0
            )
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(WAIT_S):
                assert await process.wait() == 0
    assert {f.record.request_id for f in found} == {r.request_id for r in requests}
    assert len(found) <= REQUESTS + 100, "no more than what was not yet committed comes again"
    by_id: dict[str, set[object]] = {}
    for f in found:
        by_id.setdefault(f.record.request_id, set()).add((f.record.body_digest, f.record.deadline, f.partition))
    assert all(len(same) == 1 for same in by_id.values()), "a request that comes again is told apart from no other"
