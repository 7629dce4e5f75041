"""Tables and views of compacted topics: whole after a start, and following, whatever lies at the end of the log."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import TopicPartition

from schemas.errors import SettingsError
from streams.faust_host import View, host
from tests.fakes.stack import RunningKafka
from tests.integration.faust_host.rig import Rig, until

pytestmark = pytest.mark.stack

COMPACT = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "100"}
KEYS = [b"key-%d" % n for n in range(5)]
ENDS = ["record", "nothing", "commit_marker", "abort_marker", "compacted"]


@pytest.fixture
async def rig(kafka: RunningKafka) -> AsyncIterator[Rig]:
    async with Rig(kafka.bootstrap_servers, stock=False) as running:
        yield running


async def totals(rig: Rig, end: str, partitions: int = 1) -> tuple[str, dict[bytes, bytes]]:
    """A compacted topic that ends with `end`, and what its newest values are."""
    topic = await rig.topic(partitions, **COMPACT)
    if end == "nothing":
        return topic, {}
    producer = AIOKafkaProducer(bootstrap_servers=rig.bootstrap_servers, transactional_id=f"tx-{topic}")
    await producer.start()
    try:
        for generation in range(4):
            async with producer.transaction():
                for key in KEYS:
                    await producer.send(topic, b"%d" % generation, key=key)
            await asyncio.sleep(0.15 if end == "compacted" else 0)
        async with producer.transaction():
            await producer.send(topic, None, key=KEYS[0])
        if end == "abort_marker":
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"never", key=KEYS[1])
            await producer.abort_transaction()
    finally:
        await producer.stop()
    if end == "compacted":
        await compacted(rig, topic)
    if end == "record":
        await rig.producer.send_and_wait(topic, b"3", key=KEYS[4])
    return topic, dict.fromkeys(KEYS[1:], b"3")


async def compacted(rig: Rig, topic: str) -> None:
    """Wait until the log cleaner has removed something."""
    for _ in range(100):
        if len(await rig.read(topic, timeout_s=0.5)) < 4 * len(KEYS):
            return
        await asyncio.sleep(0.1)
    pytest.fail("the log cleaner removed nothing")


@pytest.mark.parametrize("end", ENDS)
async def test_table_recovers_and_follows(rig: Rig, end: str) -> None:
    topic, expected = await totals(rig, end)
    ours = host(f"group-{topic}", bootstrap_servers=rig.bootstrap_servers)
    table = ours.table("totals", topic)
    async with asyncio.timeout(10), ours.running():
        assert dict(table.items()) == expected
        await rig.producer.send_and_wait(topic, b"new", key=KEYS[2])
        assert await until(lambda: table.get(KEYS[2]) == b"new")
        await rig.producer.send_and_wait(topic, None, key=KEYS[2])
        assert await until(lambda: KEYS[2] not in table)


async def test_every_instance_has_every_partition(rig: Rig) -> None:
    topic, expected = await totals(rig, "commit_marker", partitions=3)
    first, second = (host(f"group-{topic}", bootstrap_servers=rig.bootstrap_servers, session_timeout_ms=2_000) for _ in range(2))
    tables = first.table("totals", topic), second.table("totals", topic)
    async with asyncio.timeout(20), first.running(), second.running():
        for n, partition in enumerate((0, 1, 2)):
            await rig.producer.send_and_wait(topic, b"new", key=b"%d" % n, partition=partition)
        expected |= {b"0": b"new", b"1": b"new", b"2": b"new"}
        for table in tables:
            assert await until(lambda table=table: dict(table.items()) == expected), dict(table.items())


async def test_following_through_rebalances(rig: Rig) -> None:
    """Others write all the time while an instance comes and goes: none misses the newest value of any key."""
    topic, expected = await totals(rig, "commit_marker", partitions=3)
    group = f"group-{topic}"
    stop = asyncio.Event()

    async def write() -> None:
        count = 0
        while not stop.is_set():
            for partition in (0, 1, 2):
                key = b"%d" % (3 * (count % 5) + partition)
                expected[key] = b"%d" % count
                await rig.producer.send(topic, expected[key], key=key, partition=partition)
            count += 1
            await asyncio.sleep(0.002)
        await rig.producer.flush()

    first = host(group, bootstrap_servers=rig.bootstrap_servers, session_timeout_ms=2_000)
    tables = [first.table("totals", topic)]
    writing = asyncio.create_task(write())
    async with asyncio.timeout(30), first.running():
        for _ in range(3):
            second = host(group, bootstrap_servers=rig.bootstrap_servers, session_timeout_ms=2_000)
            tables[1:] = [second.table("totals", topic)]
            async with second.running():
                await asyncio.sleep(0.5)
                stop.set()
                await writing
                for table in tables:
                    assert await until(lambda table=table: dict(table.items()) == expected)
                stop.clear()
                writing = asyncio.create_task(write())
        stop.set()
        await writing
        assert await until(lambda: dict(tables[0].items()) == expected)


async def test_a_resumed_flow_keeps_what_has_arrived(rig: Rig) -> None:
    app = host("group", bootstrap_servers=rig.bootstrap_servers).app
    queue = app.FlowControlQueue(maxsize=10, clear_on_resume=True)
    queue.force_put_nowait("event")
    app.flow_control.resume()
    assert queue.qsize() == 1
    app.flow_control.clear()
    assert queue.empty()


async def test_an_agent_beside_a_table_misses_nothing(rig: Rig) -> None:
    """The agent's partitions go on as the recovery ends: what is handed out in that moment must not be swept away."""
    topic, _ = await totals(rig, "commit_marker")
    source = await rig.topic()
    for n in range(50):
        await rig.producer.send(source, b"%d" % n)
    await rig.producer.flush()
    for _ in range(5):
        app, seen = host(f"group-{uuid.uuid4().hex[:12]}", bootstrap_servers=rig.bootstrap_servers), list[int]()
        app.table("totals", topic)

        @app.agent(source, name="a")
        async def agent(stream: Any, seen: list[int] = seen) -> None:
            async for value in stream:
                seen.append(int(value))  # noqa: PERF401 - an agent's stream has no end

        async with asyncio.timeout(10), app.running():
            assert await until(lambda seen=seen: len(seen) >= 50), seen
        assert seen == list(range(50))


async def test_stuck_recovery_is_wiped_and_rebuilt(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    topic, expected = await totals(rig, "commit_marker")
    ours = host(f"group-{topic}", bootstrap_servers=rig.bootstrap_servers, table_deadline_s=0.5)
    table = ours.table("totals", topic)
    table.data.data[b"stale"] = b"1"
    paused = False

    def pause_once() -> None:
        nonlocal paused
        if not paused and ours.app.in_recovery:
            paused = True
            ours.consumer.pause_partitions({TopicPartition(topic, 0)})

    resume = ours.consumer.resume_partitions

    def resume_and_pause(tps: Any) -> None:
        resume(tps)
        pause_once()

    monkeypatch.setattr(ours.consumer, "resume_partitions", resume_and_pause)
    async with asyncio.timeout(10), ours.running():
        assert paused
        assert dict(table.items()) == expected


async def test_table_is_read_only(rig: Rig) -> None:
    topic, _ = await totals(rig, "nothing")
    ours = host(f"group-{topic}", bootstrap_servers=rig.bootstrap_servers)
    table = ours.table("totals", topic)
    async with asyncio.timeout(10), ours.running():
        with pytest.raises(TypeError, match="cache of"):
            table[b"key"] = b"value"


@pytest.mark.parametrize("end", ENDS)
async def test_view_recovers_and_follows(rig: Rig, end: str) -> None:
    topic, expected = await totals(rig, end, partitions=2)
    async with View(topic, bootstrap_servers=rig.bootstrap_servers) as view:
        await view.wait_ready(5)
        assert view.ready
        assert dict(view.items()) == expected
        assert view.lag() == 0
        await rig.producer.send_and_wait(topic, b"new", key=KEYS[2])
        assert await until(lambda: view.values().get(KEYS[2]) == b"new")
        await asyncio.wait_for(view.wait_changed(), 3)


async def test_view_tells_each_record(rig: Rig) -> None:
    topic, _ = await totals(rig, "record")
    seen: list[tuple[bytes | None, bytes | None]] = []
    async with View(
        topic, bootstrap_servers=rig.bootstrap_servers, on_record=lambda key, value: seen.append((key, value))
    ) as view:
        await view.wait_ready(5)
    assert seen[-2:] == [(KEYS[0], None), (KEYS[4], b"3")]


async def test_view_of_a_topic_that_is_not_there(rig: Rig) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        async with View("no-such-topic", bootstrap_servers=rig.bootstrap_servers):
            pass


async def test_view_says_when_it_failed(rig: Rig) -> None:
    topic, _ = await totals(rig, "nothing")

    def refuse(key: bytes | None, value: bytes | None) -> None:
        raise ValueError(key)

    async with View(topic, bootstrap_servers=rig.bootstrap_servers, on_record=refuse) as view:
        await view.wait_ready(5)
        await rig.producer.send_and_wait(topic, b"1", key=b"bad")
        with pytest.raises(ValueError, match="bad"):
            await asyncio.wait_for(view.wait_changed(), 3)
        with pytest.raises(ValueError, match="bad"):
            view.items()
