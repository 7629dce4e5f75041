"""F12: a Valkey that is away, hung, flushed or holds nonsense is a miss, counted, and costs next to nothing."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from schemas.calls import Output
from schemas.errors import SettingsError
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import Operation
from schemas.serde import Serde
from streams.stores.valkey import Valkey
from streams.stores.valkey_cache import KEY_PREFIX, MAX_ENTRY_BYTES, AnswerCache
from tests.fakes.stack import embedded_valkey

pytestmark = pytest.mark.stack

SERDE = Serde()
TIMEOUT_S = 0.1


def answer(key: str, text: str = "4", ttl_s: int = 60) -> tuple[InferenceResponse, bytes]:
    response = InferenceResponse(
        request_id="r",
        tenant="acme",
        final=True,
        status=ResponseStatus.OK,
        request_model="auto",
        attempts=1,
        task_kind="chat",
        policy="p",
        received_at=datetime(2026, 6, 1, tzinfo=UTC),
        answered_at=datetime(2026, 6, 1, tzinfo=UTC),
        operation=Operation.CHAT,
        output=Output(content=text, finish_reason="stop"),
        provider="p",
        deployment="d",
        cache=CacheState.MISS,
        cache_key=key,
        cache_ttl_s=ttl_s,
    )
    return response, SERDE.encode(response)


def cache_of(valkey: Valkey | None, l1_entries: int = 0, secret: bytes = b"s" * 32) -> AnswerCache:
    return AnswerCache(valkey, SERDE.of(InferenceResponse), secret=secret, l1_entries=l1_entries)


@pytest.fixture
async def store(valkey: str) -> AsyncIterator[Valkey]:
    async with Valkey(valkey, timeout_s=5.0) as opened:
        yield opened


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"{request.node.name}-{time.time_ns()}"


async def test_what_was_stored_is_found_in_order(store: Valkey, key: str):
    cache = cache_of(store)
    kept = [answer(f"{key}-{i}", text=str(i)) for i in range(3)]
    await cache.store(kept)
    found = await cache.look_up([f"{key}-2", f"{key}-missing", f"{key}-0"])
    assert found == [kept[2][0], None, kept[0][0]]
    assert (cache.counts.stored, cache.counts.l2_hits, cache.counts.misses) == (3, 2, 1)


async def test_the_time_to_live_is_kept(store: Valkey, valkey: str, key: str):
    await cache_of(store).store([answer(key, ttl_s=1_234)])
    async with Redis.from_url(valkey) as direct:
        assert 1_230 < await direct.ttl(KEY_PREFIX + key) <= 1_234


async def test_what_may_not_be_kept_is_not(store: Valkey, key: str):
    cache = cache_of(store)
    good, _ = answer(key)
    failed = replace(good, status=ResponseStatus.ERROR)
    too_long = answer(f"{key}-long", text="x" * MAX_ENTRY_BYTES)
    await cache.store([(failed, SERDE.encode(failed)), too_long])
    assert await cache.look_up([key, f"{key}-long"]) == [None, None]
    assert (cache.counts.stored, cache.counts.not_stored) == (0, 1)


@pytest.mark.parametrize("nonsense", [b"", b"\x00", b"\x00\x00\x00\x00\x05", b"\xff" * 100, b"x" * (MAX_ENTRY_BYTES + 1)])
async def test_nonsense_is_a_miss(store: Valkey, valkey: str, key: str, nonsense: bytes):
    async with Redis.from_url(valkey) as direct:
        await direct.set(KEY_PREFIX + key, nonsense)
    cache = cache_of(store)
    await cache.store([answer(f"{key}-good")])
    found = await cache.look_up([key, f"{key}-good"])
    assert [f is None for f in found] == [True, False], "a neighbour is unharmed"
    assert cache.counts.misses == 1


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda sealed, other: sealed[:-1] + b"!", id="its last byte changed"),
        pytest.param(lambda sealed, other: other, id="the answer to another question"),
        pytest.param(lambda sealed, other: sealed[33:], id="without its seal"),
    ],
)
async def test_what_we_have_not_sealed_is_a_miss(store: Valkey, valkey: str, key: str, forge):
    cache = cache_of(store)
    await cache.store([answer(key), answer(f"{key}-other")])
    async with Redis.from_url(valkey) as direct:
        sealed, other = await direct.mget([KEY_PREFIX + key, f"{KEY_PREFIX}{key}-other"])
        await direct.set(KEY_PREFIX + key, forge(sealed, other))
    assert await cache.look_up([key]) == [None]
    assert (cache.counts.forged, cache.counts.misses) == (1, 1)


async def test_another_secret_misses(store: Valkey, key: str):
    await cache_of(store).store([answer(key)])
    assert await cache_of(store, secret=b"t" * 32).look_up([key]) == [None]


async def test_the_first_level_answers_without_asking_again(store: Valkey, valkey: str, key: str):
    cache = cache_of(store, l1_entries=10)
    kept, value = answer(key)
    await cache.store([(kept, value)])
    assert await cache.look_up([key]) == [kept]
    async with Redis.from_url(valkey) as direct:
        await direct.delete(KEY_PREFIX + key)
    assert await cache.look_up([key]) == [kept]
    assert (cache.counts.l2_hits, cache.counts.l1_hits) == (1, 1)


async def test_a_wrong_key_type_is_a_miss(store: Valkey, valkey: str, key: str):
    async with Redis.from_url(valkey) as direct:
        await direct.lpush(KEY_PREFIX + key, "x")
    assert await cache_of(store).look_up([key]) == [None]


async def test_an_absent_server_is_asked_twice_and_then_left_alone():
    async with Valkey("redis://127.0.0.1:1/0", timeout_s=TIMEOUT_S, store_timeout_s=TIMEOUT_S) as absent:
        cache = cache_of(absent)
        started = time.monotonic()
        for _ in range(500):
            assert await cache.look_up(["a", "b"]) == [None, None]
        assert time.monotonic() - started < 2.0
        await cache.store([answer("a")])
    assert (cache.counts.misses, cache.counts.unavailable, cache.counts.not_stored) == (1_000, 1_000, 1)


async def test_a_hung_server_costs_two_time_outs_and_is_used_again_when_it_wakes(key: str):
    with embedded_valkey() as url:
        async with Redis.from_url(url) as direct:
            pid = (await direct.info("server"))["process_id"]
        async with Valkey(url, timeout_s=TIMEOUT_S, store_timeout_s=TIMEOUT_S) as hung:
            cache = cache_of(hung)
            await cache.store([answer(key)])
            assert await cache.look_up([key]) != [None]
            os.kill(pid, signal.SIGSTOP)
            try:
                took = []
                for _ in range(50):
                    started = time.monotonic()
                    assert await cache.look_up([key]) == [None]
                    took.append(time.monotonic() - started)
            finally:
                os.kill(pid, signal.SIGCONT)
            assert max(took) < TIMEOUT_S + 1.0
            assert sum(took) < 2 * TIMEOUT_S + 2.0, "after two time-outs it is not asked: fifty would take five seconds"
            assert cache.counts.unavailable == 50
            async with asyncio.timeout(10):
                while await cache.look_up([key]) == [None]:  # noqa: ASYNC110 - nothing tells when Valkey is back
                    await asyncio.sleep(0.1)


async def test_an_address_that_is_none_is_refused():
    with pytest.raises(SettingsError, match="REDIS_URL is no address"):
        Valkey("127.0.0.1:6379", timeout_s=1)


async def test_without_a_server_every_look_up_is_a_miss():
    cache = cache_of(None)
    await cache.store([answer("a")])
    assert await cache.look_up(["a"]) == [None]
