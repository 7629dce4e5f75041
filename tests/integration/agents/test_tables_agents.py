"""Promise 3 for readers of the table: absolute totals, whole after a restart; and what the cache keeps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaProducer

from processors.cost.totals import add, total_key
from schemas.calls import Output, Usage
from schemas.ledger import CostEvent, CostKind, CostTotal
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import Operation
from schemas.serde import Serde
from streams import topics
from streams.agents import tables
from streams.agents.cost_table import CostTable
from streams.faust_host import host
from streams.publisher import Outgoing
from streams.settings import Settings
from streams.stores.valkey_cache import open_cache
from tests.integration.agents.conftest import WAIT_S, publish, running

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topics_made")]

HOUR = datetime(2026, 6, 1, 12, tzinfo=UTC)
SERDE = Serde()


def event(tenant: str, n: int) -> CostEvent:
    at = HOUR + timedelta(minutes=30 * (n % 4))
    model = f"m{n % 2}"
    return CostEvent(
        f"{tenant}-{n}", CostKind.CALL, "r", tenant, tenant, "p", "d", model, at, at, usage=Usage(10, n), cost_nanousd=n
    )


def folded(events: list[CostEvent]) -> dict[str, CostTotal]:
    totals: dict[str, CostTotal] = {}
    for each in events:
        totals[total_key(each)] = add(totals.get(total_key(each)), each, now=HOUR)
    return totals


async def write(settings: Settings, totals: dict[str, CostTotal], *, abort: bool = False) -> None:
    """As the dispatcher writes them: in one transaction, whose marker ends the log."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers, transactional_id=f"{settings.app}-writer")
    await producer.start()
    try:
        await producer.begin_transaction()
        for key, total in totals.items():
            await producer.send(topics.COST_TOTALS, SERDE.encode(total), key=key.encode())
        await (producer.abort_transaction() if abort else producer.commit_transaction())
    finally:
        await producer.stop()


@asynccontextmanager
async def cost_table(settings: Settings) -> AsyncIterator[CostTable]:
    app = host(settings.group("costs"), bootstrap_servers=settings.bootstrap_servers, session_timeout_ms=6_000)
    table = CostTable(app, SERDE)
    async with asyncio.timeout(WAIT_S), app.running():
        yield table


def of_tenant(table: CostTable, tenant: str) -> dict[str, CostTotal]:
    return {total_key(total): total for total in table.totals() if total.tenant == tenant}


async def test_the_table_holds_the_newest_totals_from_its_start_and_follows(settings: Settings, tenant: str):
    events = [event(tenant, n) for n in range(12)]
    for upto in (4, 8):
        await write(settings, folded(events[:upto]))
    await write(settings, folded(events[:11]), abort=True)
    async with cost_table(settings) as table:
        assert of_tenant(table, tenant) == folded(events[:8]), "the aborted ones never happened"
        await write(settings, folded(events))
        while of_tenant(table, tenant) != folded(events):  # noqa: ASYNC110 - the table tells nobody; cost_table bounds the wait
            await asyncio.sleep(0.02)
        key, total = next(iter(folded(events).items()))
        assert table.get(key) == total
        assert table.get("no|such|key|2026-06-01T12") is None
    async with cost_table(settings) as table:
        assert of_tenant(table, tenant) == folded(events), "whole again after a restart, with nothing kept on disk"


async def test_the_role_keeps_complete_answers_and_nothing_else(settings: Settings, tenant: str):
    now = datetime.now(UTC)
    good = InferenceResponse(
        request_id="good",
        tenant=tenant,
        final=True,
        status=ResponseStatus.OK,
        request_model="auto",
        attempts=1,
        task_kind="chat",
        policy="p",
        received_at=now,
        answered_at=now,
        operation=Operation.CHAT,
        output=Output(content="4", finish_reason="stop"),
        provider="p",
        deployment="d",
        cache=CacheState.MISS,
        cache_key=f"{tenant}-good",
        cache_ttl_s=60,
    )
    cut = replace(good, cache_key=f"{tenant}-cut", output=Output(content="4", finish_reason="length"))
    failed = replace(good, cache_key=f"{tenant}-failed", status=ResponseStatus.ERROR, output=None)
    last = replace(good, cache_key=f"{tenant}-last")
    async with running(tables.run, settings, "tables") as runtime:
        values = [runtime.serde.encode(r) for r in (good, cut, failed)]
        await publish(
            runtime, [Outgoing(topics.RESPONSES, tenant, v) for v in (*values, b"\1nonsense", runtime.serde.encode(last))]
        )
        async with open_cache(settings, runtime.serde) as cache, asyncio.timeout(WAIT_S):
            while await cache.look_up([f"{tenant}-last"]) == [None]:  # noqa: ASYNC110 - nothing tells when it is kept
                await asyncio.sleep(0.02)
            found = await cache.look_up([f"{tenant}-{name}" for name in ("good", "cut", "failed")])
    assert found == [good, None, None]
