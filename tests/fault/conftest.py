"""One real stack for all kill points: Kafka, Valkey, simulator and every role as processes of their own."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message
from streams import topics
from streams.embedded.plan import StackPlan, every_role
from streams.embedded.stack import Stack
from streams.publisher import Outgoing, Publisher
from streams.settings import Settings
from streams.verify.check import verify
from streams.verify.verdict import Verdict
from tests.fakes.stack import FAST_BROKER

PROVIDER = "openai"
CALL_TIMEOUT_S = 4
DEPLOYMENTS = {
    "version": "test",
    "providers": {PROVIDER: {"kind": "openai", "address": "http://127.0.0.1:1"}},
    "deployments": [{"provider": PROVIDER, "model": "gpt-4o-mini", "timeout_s": CALL_TIMEOUT_S, "max_output_tokens": 500}],
}
LATENCY = {"default": {"first_token_ms": {"median": 60, "sigma": 0.5}}}


class FaultRig:
    """Publishes load, arms kill points, and asks `verify` for its verdict on everything since the stack began."""

    def __init__(self, stack: Stack, fault_file: Path) -> None:
        self.stack, self._fault_file = stack, fault_file

    async def arm(self, role: str, fault: str) -> None:
        """Start the role's processes again with the fault set; it acts in one of them, once."""
        await self.stack.halt(role)
        self._acted.unlink(missing_ok=True)
        self._fault_file.write_text(fault, encoding="ascii")
        await self.stack.resume(role)

    @property
    def _acted(self) -> Path:
        return self._fault_file.with_name(f"{self._fault_file.name}.acted")

    async def until_acted(self, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not self._acted.exists():  # noqa: ASYNC110 - another process renames the file
                await asyncio.sleep(0.02)

    async def publish(self, count: int, *, per_s: float) -> None:
        """Publish `count` requests of several tenants, evenly in time; every one is acknowledged by the broker."""
        name = uuid.uuid4().hex[:8]
        serde = self._serde()
        async with Publisher(bootstrap_servers=self.stack.bootstrap_servers, client_id="fault-rig") as publisher:
            for n in range(count):
                request = InferenceRequest(
                    request_id=f"{name}-{n}",
                    tenant=f"tenant-{n % 5}",
                    model="auto",
                    messages=(Message("user", f"Question {n} of {name}"),),
                    cache=CachePolicy(CacheMode.OFF),
                )
                await publisher.send_all([Outgoing(topics.REQUESTS, request.tenant, serde.encode(request))])
                await asyncio.sleep(1 / per_s)

    async def verdict(self, *, wait_s: float = 40.0) -> Verdict:
        return await verify(self.stack.settings, call_log=self.stack.simulator_log, wait_s=wait_s)

    @staticmethod
    def _serde():
        from schemas.serde import Serde  # noqa: PLC0415 - one for all tests would be shared across loops for no gain

        return Serde()


@asynccontextmanager
async def fault_rig(folder: Path) -> AsyncIterator[FaultRig]:
    deployments, latency, fault = folder / "deployments.json", folder / "latency.json", folder / "fault"
    deployments.write_text(json.dumps(DEPLOYMENTS), encoding="utf-8")
    latency.write_text(json.dumps(LATENCY), encoding="utf-8")
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        deployments_file=deployments,
        session_timeout_ms=3_000,
        transaction_timeout_ms=10_000,
        lost_grace_s=1.0,
    )
    plan = StackPlan(
        settings=settings,
        providers=(PROVIDER,),
        roles=every_role((PROVIDER,)),
        environment={**os.environ, "PENSTOCK_FAULT": f"@{fault}"},
        simulator=True,
        simulator_profile=latency,
        broker_overrides=FAST_BROKER,
    )
    async with Stack(plan) as stack:
        yield FaultRig(stack, fault)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fault")
