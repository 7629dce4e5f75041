"""The host's own promises: batches that form by themselves, bounded tasks, a backlog that waits in Kafka, a stop in order."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from streams.faust_host import Delivered, Host, HostFailed, batches, each, host
from tests.fakes.stack import RunningKafka, embedded_kafka
from tests.integration.faust_host.rig import COMMIT_S, SETTLED_S, Rig, numbers, until

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]


@pytest.fixture
async def rig(kafka: RunningKafka) -> AsyncIterator[Rig]:
    async with Rig(kafka.bootstrap_servers, stock=False) as running:
        yield running


def ours(rig: Rig, group: str | None = None, **options: Any) -> Host:
    options = {"commit_interval_s": COMMIT_S, "session_timeout_ms": 3_000, "drain_timeout_s": 2.0, **options}
    return host(group or f"group-{uuid.uuid4().hex[:12]}", bootstrap_servers=rig.bootstrap_servers, **options)


async def fill(rig: Rig, topic: str, count: int, partitions: int = 1) -> None:
    for n in range(count):
        await rig.producer.send(topic, b"%d" % n, partition=n % partitions)
    await rig.producer.flush()


async def test_a_batch_is_whatever_has_arrived(rig: Rig) -> None:
    topic, app = await rig.topic(), ours(rig)
    sizes: list[int] = []
    busy = asyncio.Event()

    async def handle(batch: Sequence[Delivered]) -> None:
        sizes.append(len(batch))
        if len(sizes) == 1:
            await busy.wait()

    @app.agent(topic, name="intake")
    async def intake(stream: Any) -> None:
        await batches(stream, handle, max_records=20)

    async with app.running():
        assert list(app.app.agents) == ["intake"]
        await rig.produce(topic, b"first")
        assert await until(lambda: sizes == [1])  # alone, and at once
        await fill(rig, topic, 50)
        assert await until(lambda: app.consumer.held == 51)
        busy.set()
        assert await until(lambda: sum(sizes) == 51)
    assert sizes == [1, 20, 20, 10]
    assert await rig.committed(app.options.group, topic) == 51


async def test_timers_and_sends_of_faust_work(rig: Rig) -> None:
    """What users extend Penstock with: a timer, `topic.send`, and an agent that iterates over its stream."""
    topic, out, app = await rig.topic(), await rig.topic(), ours(rig)
    ticks = 0

    @app.app.timer(interval=0.1)
    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    @app.agent(topic, name="copy")
    async def copy(stream: Any) -> None:
        async for value in stream:
            await (await app.topic(out).send(key=b"k", value=value))

    async with app.running():
        await rig.produce(topic, b"1", b"2")
        assert await until(lambda: ticks >= 3)
        assert await until(lambda: app.consumer.held == 0 and app.consumer.lag() != {})
        assert await rig.read(out) == [b"1", b"2"]
    assert await rig.committed(app.options.group, topic) == 2


async def test_a_stop_during_the_start(rig: Rig) -> None:
    """A stop does not wait until the group has been joined."""
    topic, app = await rig.topic(), ours(rig)
    ready = False

    def on_ready() -> None:
        nonlocal ready
        ready = True

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await batches(stream, lambda batch: asyncio.sleep(0))

    asyncio.get_running_loop().call_soon(app.request_stop)
    async with asyncio.timeout(5):
        await app.run(on_ready)
    assert not ready


async def test_what_is_delivered(rig: Rig) -> None:
    topic, app = await rig.topic(2), ours(rig)
    seen: list[Delivered] = []

    async def handle(batch: Sequence[Delivered]) -> None:
        seen.extend(batch)

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await batches(stream, handle)

    headers = [("traceparent", b"00-1"), ("faust-ag-replyto", b"x"), ("traceparent", b"00-2")]
    async with app.running():
        await rig.producer.send_and_wait(
            topic, b"\x00\xff", key=b"k", partition=1, headers=headers, timestamp_ms=1_700_000_000_123
        )
        await rig.producer.send_and_wait(topic, None, key=b"gone", partition=1)
        assert await until(lambda: len(seen) == 2)
        record, tombstone = seen
        assert (record.value, record.key, record.topic, record.partition, record.offset) == (b"\x00\xff", b"k", topic, 1, 0)
        assert record.headers == (("traceparent", b"00-1"), ("traceparent", b"00-2"))
        assert record.timestamp_ms == 1_700_000_000_123
        assert (tombstone.value, tombstone.key, tombstone.headers) == (None, b"gone", ())


async def test_a_batch_that_raises_ends_the_host_and_comes_again(rig: Rig) -> None:
    topic, group = await rig.topic(), f"group-{uuid.uuid4().hex[:12]}"
    await fill(rig, topic, 3)
    seen: list[bytes | None] = []

    async def refuse(batch: Sequence[Delivered]) -> None:
        raise ValueError("a defect")

    async def accept(batch: Sequence[Delivered]) -> None:
        seen.extend(record.value for record in batch)

    for handle in (refuse, accept):
        app = ours(rig, group)

        @app.agent(topic, name="a")
        async def agent(stream: Any, handle: Any = handle) -> None:
            await batches(stream, handle)

        if handle is refuse:
            with pytest.raises(HostFailed, match="a defect") as failed:
                async with asyncio.timeout(10), app.running():
                    await asyncio.sleep(3600)
            assert isinstance(failed.value.__cause__, ValueError)
            assert await rig.committed(group, topic) == -1
        else:
            async with app.running():
                assert await until(lambda: len(seen) == 3)
    assert seen == numbers(3)


async def test_each_is_bounded_and_commits_the_lowest_unfinished(rig: Rig) -> None:
    topic, app = await rig.topic(), ours(rig)
    await fill(rig, topic, 20)
    running: Counter[str] = Counter()
    release = {n: asyncio.Event() for n in range(20)}

    async def handle(record: Delivered) -> None:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        await release[record.offset].wait()
        running["now"] -= 1
        running["done"] += 1

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await each(stream, handle, concurrency=4)

    async with app.running():
        assert await until(lambda: running["now"] == 4)
        for n in range(3, 20):
            release[n].set()
        assert await until(lambda: running["done"] == 17)  # offset 3, and the rest through its place
        await asyncio.sleep(SETTLED_S)
        assert await rig.committed(app.options.group, topic) == 0
        release[0].set()
        release[1].set()
        assert await until(lambda: running["done"] == 19)
        await asyncio.sleep(SETTLED_S)
        assert await rig.committed(app.options.group, topic) == 2
        release[2].set()
    assert running["most"] == 4
    assert await rig.committed(app.options.group, topic) == 20


async def test_one_that_raises_ends_all(rig: Rig) -> None:
    topic, app = await rig.topic(), ours(rig)
    await fill(rig, topic, 3)
    cancelled: list[int] = []

    async def handle(record: Delivered) -> None:
        if record.offset == 2:
            raise ValueError("a defect")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(record.offset)
            raise

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await each(stream, handle, concurrency=4)

    with pytest.raises(HostFailed) as failed:
        async with asyncio.timeout(10), app.running():
            await asyncio.sleep(3600)
    assert isinstance(failed.value.__cause__, ExceptionGroup)
    assert sorted(cancelled) == [0, 1]
    assert await rig.committed(app.options.group, topic) == -1


async def test_a_backlog_waits_in_kafka(rig: Rig) -> None:
    """3,000 records for 8 slow places: few of them in memory, and all of them done once the places are free."""
    topic, app = await rig.topic(2), ours(rig, buffer_records=100, max_poll_records=20)
    await fill(rig, topic, 3_000, partitions=2)
    free, done, held = asyncio.Event(), 0, 0

    async def handle(record: Delivered) -> None:
        nonlocal done, held
        held = max(held, app.consumer.held)
        await free.wait()
        done += 1

    @app.agent(topic, name="a")
    async def agent(stream: Any) -> None:
        await each(stream, handle, concurrency=8)

    async with app.running():
        assert await until(lambda: app.consumer.held >= 80)
        await asyncio.sleep(SETTLED_S)
        held = max(held, app.consumer.held)
        free.set()
        assert await until(lambda: done == 3_000)
    assert held <= 8 + 100
    assert sum([await rig.committed(app.options.group, topic, partition) for partition in (0, 1)]) == 3_000


async def test_a_stuck_partition_does_not_hold_up_the_other_topic(rig: Rig) -> None:
    """Two agents of one app: the queue of one is full, the other goes on."""
    stuck, flowing, app = await rig.topic(), await rig.topic(), ours(rig, buffer_records=50, max_poll_records=10)
    await fill(rig, stuck, 500)
    seen: list[int] = []

    async def never(batch: Sequence[Delivered]) -> None:
        await asyncio.sleep(3600)

    async def note(batch: Sequence[Delivered]) -> None:
        seen.extend(record.offset for record in batch)

    @app.agent(stuck, name="stuck")
    async def first(stream: Any) -> None:
        await batches(stream, never, max_records=1)

    @app.agent(flowing, name="flowing")
    async def second(stream: Any) -> None:
        await batches(stream, note)

    async with app.running():
        assert await until(lambda: app.consumer.held >= 40)
        await fill(rig, flowing, 300)
        assert await until(lambda: len(seen) == 300)


async def test_rebalance_waits_for_short_work(rig: Rig) -> None:
    """Work that ends within the grace is committed before its partition moves: nobody does it twice."""
    topic, group = await rig.topic(2), f"group-{uuid.uuid4().hex[:12]}"
    await fill(rig, topic, 2, partitions=2)
    seen: list[tuple[str, int]] = []
    first, second = ours(rig, group, revoke_grace_s=3.0), ours(rig, group)

    for name, app in (("first", first), ("second", second)):

        async def handle(record: Delivered, name: str = name) -> None:
            seen.append((name, record.partition))
            await asyncio.sleep(1.5)

        @app.agent(topic, name="a")
        async def agent(stream: Any, handle: Any = handle) -> None:
            await each(stream, handle, concurrency=4)

    async with first.running():
        assert await until(lambda: len(seen) == 2)
        async with second.running():
            await asyncio.sleep(SETTLED_S)
    assert sorted(seen) == [("first", 0), ("first", 1)]
    assert [await rig.committed(group, topic, partition) for partition in (0, 1)] == [1, 1]


async def test_rebalance_storm_loses_nothing(rig: Rig) -> None:
    """Members come and go while 1,500 records are worked on; the committed offsets only ever rise."""
    count, partitions = 1_500, 4
    topic, group = await rig.topic(partitions), f"group-{uuid.uuid4().hex[:12]}"
    done: Counter[bytes | None] = Counter()
    regressions: list[tuple[int, int]] = []

    def member() -> Host:
        app = ours(rig, group, revoke_grace_s=0.05, drain_timeout_s=0.1, buffer_records=100, max_poll_records=20)

        async def handle(record: Delivered) -> None:
            await asyncio.sleep(0.01 * (record.offset % 20))
            done[record.value] += 1

        @app.agent(topic, name="a")
        async def agent(stream: Any) -> None:
            await each(stream, handle, concurrency=16)

        return app

    async def watch() -> None:
        last = [-1] * partitions
        while True:
            now = [await rig.committed(group, topic, partition) for partition in range(partitions)]
            regressions.extend((was, offset) for was, offset in zip(last, now, strict=True) if offset < was)
            last = now
            await asyncio.sleep(0.05)

    await fill(rig, topic, count, partitions)
    watching = asyncio.create_task(watch())
    async with member().running():
        for _ in range(5):
            async with member().running():
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.2)
        assert await until(lambda: len(done) == count)
    watching.cancel()
    assert not regressions
    assert len(done) == count
    assert (
        sum(done.values()) - count < count / 2
    )  # repeated: what was in work, or done but not first in line, when its partition moved


@pytest.mark.slow
async def test_broker_killed_and_restarted() -> None:
    """The host waits for the broker and goes on; records published before and after are all handled."""
    with embedded_kafka() as broker:
        async with Rig(broker.bootstrap_servers, stock=False) as rig:
            topic, app = await rig.topic(), ours(rig)
            seen: set[bytes | None] = set()

            async def handle(batch: Sequence[Delivered]) -> None:
                seen.update(record.value for record in batch)

            @app.agent(topic, name="a")
            async def agent(stream: Any) -> None:
                await batches(stream, handle)

            async with app.running():
                await fill(rig, topic, 100)
                assert await until(lambda: len(seen) == 100)
                await asyncio.to_thread(broker.kill)
                await asyncio.to_thread(broker.start)
                await rig.produce(topic, b"after")
                assert await until(lambda: b"after" in seen)
            assert await rig.committed(app.options.group, topic) == 101


class Served:
    """A process of `served.py`, and what it noted."""

    def __init__(self, rig: Rig, topic: str, notes: Path) -> None:
        self.group = f"group-{uuid.uuid4().hex[:12]}"
        self._notes = notes
        notes.touch()
        command = [
            sys.executable,
            "-m",
            "tests.integration.faust_host.served",
            rig.bootstrap_servers,
            self.group,
            topic,
            str(notes),
        ]
        self.process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)

    def noted(self, text: str) -> bool:
        return text in self._notes.read_text().splitlines()

    async def exit_code(self) -> int:
        return await asyncio.to_thread(self.process.wait, 20)


async def test_sigterm_finishes_what_was_begun(rig: Rig, tmp_path: Path) -> None:
    topic = await rig.topic(2)
    served = Served(rig, topic, tmp_path / "notes")
    assert await until(lambda: served.noted("ready"))
    await rig.produce(topic, b"slow")
    assert await until(lambda: served.noted("began slow"))
    served.process.send_signal(signal.SIGTERM)
    assert await served.exit_code() == 0
    assert served.noted("done slow")
    assert await rig.committed(served.group, topic) == 1
    described = await rig.admin.describe_consumer_groups([served.group])
    assert described[0].groups[0][2] == "Empty"  # it has left: nobody waits for its session to end


async def test_sigterm_cancels_what_takes_too_long(rig: Rig, tmp_path: Path) -> None:
    topic = await rig.topic(2)
    served = Served(rig, topic, tmp_path / "notes")
    assert await until(lambda: served.noted("ready"))
    await rig.produce(topic, b"quick", b"long")
    assert await until(lambda: served.noted("began long") and served.noted("done quick"))
    served.process.send_signal(signal.SIGTERM)
    assert await served.exit_code() == 0
    assert served.noted("cancelled long")  # after Kafka acknowledged its report
    assert b"cancelled" in await rig.read(topic)
    assert await rig.committed(served.group, topic) == 1  # `long` comes again


async def test_an_agent_that_raises_ends_the_process(rig: Rig, tmp_path: Path) -> None:
    topic = await rig.topic(2)
    served = Served(rig, topic, tmp_path / "notes")
    assert await until(lambda: served.noted("ready"))
    await rig.produce(topic, b"quick", b"bad")
    assert await served.exit_code() == 1
    assert not served.noted("stopped")
    assert await rig.committed(served.group, topic) == 1


async def test_no_broker_at_the_start() -> None:
    app = host("group", bootstrap_servers="127.0.0.1:1")
    with pytest.raises(Exception, match="Unable to bootstrap"):
        async with asyncio.timeout(20), app.running():
            pass
