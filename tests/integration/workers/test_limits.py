"""A deployment's calls and tokens a minute are held over all workers: by a Valkey, or by each worker's share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from schemas.calls import Usage
from schemas.deployments import Deployment
from streams.workers.limits import CallLimits
from tests.unit.providers.calls import order

pytestmark = pytest.mark.stack
ABSENT = "redis://127.0.0.1:1/0"


@pytest.fixture
async def limits() -> AsyncIterator[Callable[..., CallLimits]]:
    opened: list[CallLimits] = []

    def make(url: str | None, share: float = 1.0, name: str = "d", **bounds: int) -> CallLimits:
        opened.append(CallLimits([Deployment(name, "openai", "m", **bounds)], url, lambda: share))
        return opened[-1]

    yield make
    for each in opened:
        await each.close()


def of(name: str, tokens: int = 20, bound: int = 100):
    return replace(order(), deployment=name, input_tokens_estimate=tokens, output_tokens_bound=bound)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-{time.time_ns()}"


async def test_three_workers_together_make_no_more_calls_than_are_allowed(limits, valkey: str, name: str):
    workers = [limits(valkey, 1 / 3, name, requests_per_minute=7) for _ in range(3)]
    waits = await asyncio.gather(*(worker.take(of(name)) for _ in range(10) for worker in workers))
    assert waits.count(0.0) == 7


@pytest.mark.parametrize("url", [None, ABSENT], ids=["without a Valkey", "its Valkey is away"])
async def test_without_a_valkey_each_keeps_to_its_share(limits, url: str | None, name: str):
    workers = [limits(url, 1 / 3, name, requests_per_minute=10) for _ in range(3)]
    for worker in workers:
        assert [await worker.take(of(name)) for _ in range(10)].count(0.0) == 3


async def test_who_is_turned_away_comes_back_in_turn(limits, name: str):
    worker = limits(None, 1.0, name, requests_per_minute=2)
    waits = [await worker.take(of(name)) for _ in range(6)]
    assert waits[:2] == [0.0, 0.0]
    assert all(55 < wait < 62 for wait in waits[2:3])
    apart = [b - a for a, b in pairwise(waits[2:])]
    assert all(29 < step < 31 for step in apart), "two a minute: one every 30 seconds"


async def test_tokens_beyond_what_was_expected_count_for_the_next(limits, valkey: str, name: str):
    first, second = (limits(valkey, 0.5, name, tokens_per_minute=1_000) for _ in range(2))
    call = of(name, tokens=100, bound=100)
    assert await first.take(call) == 0.0
    assert await second.take(call) == 0.0
    await first.settle(call, Usage(100, 650))
    assert await second.take(call) > 0.0


async def test_a_call_that_takes_more_than_a_minutes_tokens_is_made_once(limits, name: str):
    worker, call = limits(None, 1.0, name, tokens_per_minute=500), of(name, tokens=5_000)
    assert await worker.take(call) == 0.0
    assert await worker.take(call) > 0.0


async def test_what_has_no_limit_is_not_asked_about(limits, name: str):
    worker = limits(ABSENT, 1.0, name, requests_per_minute=1)
    assert [await worker.take(of("another")) for _ in range(100)] == [0.0] * 100
