"""What plain Faust code does with its offsets. Each scenario is the same code on both hosts; a test compares what it returns."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaProducer

from streams.faust_host import HostFailed
from tests.integration.faust_host.rig import SETTLED_S, Rig, numbers, until


class Order(faust.Record, serializer="json"):
    """A typed value, for the scenario that cannot decode one."""

    number: int


async def noack_fresh_group(rig: Rig) -> dict[str, Any]:
    """No commit yet; 0 to 3 in flight, 4 to 9 acknowledged."""
    topic = await rig.topic()
    await rig.produce(topic, *numbers(10))
    acked: list[int] = []

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for event in stream.noack().events():
                if event.message.offset >= 4:
                    event.ack()
                    acked.append(event.message.offset)

    async with rig.app(declare) as (group, _):
        await until(lambda: len(acked) == 6)
        return {"acked": sorted(acked), "committed": await rig.committed_in_the_end(group, topic, bad=10)}


async def concurrent_actors(rig: Rig) -> dict[str, Any]:
    """Committed 5; four actors; 5 stays in flight, the others are done."""
    topic = await rig.topic()
    await rig.produce(topic, *numbers(5))
    done: list[int] = []
    release = asyncio.Event()

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a", concurrency=4)
        async def agent(stream: Any) -> None:
            async for value in stream:
                if value == b"5":
                    await release.wait()
                done.append(int(value))

    async with rig.app(declare) as (group, _):
        await until(lambda: len(done) == 5)
        before = await rig.committed_in_the_end(group, topic, bad=5)
        await rig.produce(topic, *numbers(5, start=5))
        await until(lambda: len(done) == 9)
        found = {"before": before, "while_in_flight": await rig.committed_in_the_end(group, topic, bad=10)}
        release.set()
        await until(lambda: len(done) == 10)
        return {**found, "after": await rig.committed_in_the_end(group, topic, bad=10)}


async def agent_raises(rig: Rig) -> dict[str, Any]:
    """The agent raises on record 2."""
    topic = await rig.topic()
    await rig.produce(topic, *numbers(5))

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for value in stream:
                if value == b"2":
                    raise RuntimeError("record 2")

    return await _run_and_look(rig, declare, topic, records=5)


async def agent_cancelled(rig: Rig) -> dict[str, Any]:
    """The app stops while record 2 is being worked on. Stock's last commit races with its stop, so: the worst of three stops."""
    return {"committed": max([await _stop_at_two(rig) for _ in range(3)])}


async def _stop_at_two(rig: Rig) -> int:
    topic = await rig.topic()
    await rig.produce(topic, *numbers(3))
    at_two = asyncio.Event()

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for value in stream:
                if value == b"2":
                    at_two.set()
                    await asyncio.sleep(3600)

    async with rig.app(declare) as (group, _):
        await at_two.wait()
    committed: int = await rig.committed(group, topic)
    return committed


async def produce_fails(rig: Rig) -> dict[str, Any]:
    """The agent's output is refused by the broker, and the agent does not await the future of its send."""
    topic = await rig.topic()
    narrow = await rig.topic(**{"max.message.bytes": "200"})
    await rig.produce(topic, b"x" * 1000)

    def declare(app: faust.App) -> None:
        out = app.topic(narrow)

        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for value in stream:
                await out.send(value=value)

    return await _run_and_look(rig, declare, topic, records=1)


async def decode_fails(rig: Rig) -> dict[str, Any]:
    """A topic with a declared type gets a record that is not of it."""
    topic = await rig.topic()
    await rig.produce(topic, b'{"number": 1}', b"\x00not json")
    seen: list[int] = []

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic, value_type=Order), name="a")
        async def agent(stream: Any) -> None:
            async for order in stream:
                seen.append(order.number)  # noqa: PERF401 - an agent's stream has no end

    return {**await _run_and_look(rig, declare, topic, records=2), "seen": seen}


async def aborted_transaction(rig: Rig) -> dict[str, Any]:
    """One record of an aborted transaction, one of a committed one."""
    topic = await rig.topic()
    producer = AIOKafkaProducer(bootstrap_servers=rig.bootstrap_servers, transactional_id=f"tx-{topic}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"aborted")
    await producer.abort_transaction()
    async with producer.transaction():
        await producer.send_and_wait(topic, b"committed")
    await producer.stop()
    seen: list[str] = []

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for value in stream:
                seen.append(value.decode())  # noqa: PERF401 - an agent's stream has no end

    async with rig.app(declare):
        await until(lambda: "committed" in seen)
    return {"seen": seen}


async def reply_header(rig: Rig) -> dict[str, Any]:
    """A stranger's record asks for the agent's yields to be sent to a topic of the stranger's choice."""
    topic, elsewhere = await rig.topic(), await rig.topic()
    await rig.produce(
        topic,
        b"secret",
        headers=[("Faust-Ag-ReplyTo", elsewhere.encode()), ("Faust-Ag-CorrelationId", b"1"), ("traceparent", b"t")],
    )
    headers: list[str] = []

    def declare(app: faust.App) -> None:
        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> Any:
            async for event in stream.events():
                headers.extend(event.headers)
                yield "what the agent found"

    async with rig.app(declare):
        await until(lambda: bool(headers))
        return {"headers": sorted(headers), "replies": len(await rig.read(elsewhere, timeout_s=5.0 if rig.stock else 1.0))}


async def exactly_once(rig: Rig) -> dict[str, Any]:
    """Faust's own guarantee, with no commit for an hour: is what the agent sent part of the open transaction?"""
    topic, out_name = await rig.topic(), await rig.topic()
    await rig.produce(topic, b"x")
    sent: list[bytes] = []

    def declare(app: faust.App) -> None:
        app.in_worker = True
        out = app.topic(out_name)

        @app.agent(app.topic(topic), name="a")
        async def agent(stream: Any) -> None:
            async for value in stream:
                await (await out.send(value=value, key=b"k"))
                sent.append(value)

    options = {"processing_guarantee": "exactly_once", "broker_commit_interval": 3600.0}
    try:
        async with rig.app(declare, **options) as (group, app):
            await until(lambda: bool(sent))
            found = {"visible": len(await rig.read(out_name)), "committed": await rig.committed(group, topic)}
            try:
                app.assignor.group_for_topic(out_name)
            except KeyError:
                found["transactional_id"] = "KeyError"
            return found
    except TypeError as error:
        return {"refused": str(error)}


async def partition_moves(rig: Rig) -> dict[str, Any]:
    """Record 0 of both partitions is in work at member A and the others are done, when member B joins; then A finishes."""
    topic = await rig.topic(partitions=2)
    for partition in (0, 1):
        await rig.produce(topic, *numbers(5), partition=partition)
    seen: dict[str, list[str]] = {"A": [], "B": []}
    in_work: list[Any] = []

    def member(name: str) -> Callable[[faust.App], None]:
        def declare(app: faust.App) -> None:
            @app.agent(app.topic(topic), name="a")
            async def agent(stream: Any) -> None:
                async for event in stream.noack().events():
                    seen[name].append(f"{event.message.partition}:{event.message.offset}")
                    if event.message.offset == 0:
                        in_work.append((name, event))
                    else:
                        event.ack()

        return declare

    async def committed() -> dict[str, int]:
        return {str(partition): await rig.committed(group, topic, partition) for partition in (0, 1)}

    async with rig.app(member("A")) as (group, a):
        await until(lambda: len(seen["A"]) == 10)
        for partition in (0, 1):
            await rig.committed_in_the_end(group, topic, bad=5, partition=partition)
        async with rig.app(member("B"), group) as (_, b):
            await until(lambda: len(a.consumer.assignment()) == 1 and len(b.consumer.assignment()) == 1)
            await asyncio.sleep(2 * SETTLED_S)
            moved = str(next(iter(b.consumer.assignment())).partition)
            kept = "1" if moved == "0" else "0"
            found = {"moved": moved, "kept": kept, "in_work": await committed(), "seen": {k: sorted(v) for k, v in seen.items()}}
            for name, event in in_work:
                if name == "A":
                    event.ack()
            await asyncio.sleep(SETTLED_S)
            return {**found, "a_done": await committed()}


async def table_recovery(rig: Rig) -> dict[str, Any]:
    """A table whose changelog ends with a record, and one whose changelog ends with the marker of a committed transaction."""
    found: dict[str, Any] = {}
    for end in ("record", "marker"):
        changelog, source = await rig.topic(), await rig.topic()
        producer = AIOKafkaProducer(
            bootstrap_servers=rig.bootstrap_servers, transactional_id=f"tx-{changelog}" if end == "marker" else None
        )
        await producer.start()
        async with producer.transaction() if end == "marker" else contextlib.nullcontext():
            await producer.send_and_wait(changelog, b"1", key=b"k")
        await producer.stop()
        tables: list[Any] = []

        def declare(app: faust.App, changelog: str = changelog, source: str = source, tables: list[Any] = tables) -> None:
            log = app.topic(changelog, acks=False, key_type=bytes, value_type=bytes)
            tables.append(app.Table("t", partitions=1, changelog_topic=log, key_type=bytes, value_type=bytes))

            @app.agent(app.topic(source), name="a")
            async def agent(stream: Any) -> None:
                async for _ in stream:
                    pass

        found[end] = "hangs"
        try:
            async with asyncio.timeout(6), rig.app(declare):
                found[end] = {key.decode(): value.decode() for key, value in tables[0].items()}
        except TimeoutError:
            pass
    return found


async def _run_and_look(rig: Rig, declare: Callable[[faust.App], None], topic: str, *, records: int) -> dict[str, Any]:
    """Run until the app has failed, or has committed all records as if they were done; say how it ended and what it committed."""
    failed: str | None = None
    group = f"group-{topic}"
    try:
        async with rig.app(declare, group):
            for _ in range(300):
                if await rig.committed(group, topic) == records:
                    break
                await asyncio.sleep(0.05)
    except HostFailed as error:
        failed = type(error.__cause__).__name__
    return {"failed": failed, "committed": await rig.committed(group, topic)}


ALL: tuple[Callable[[Rig], Awaitable[dict[str, Any]]], ...] = (
    noack_fresh_group,
    concurrent_actors,
    agent_raises,
    agent_cancelled,
    produce_fails,
    decode_fails,
    aborted_transaction,
    reply_header,
    partition_moves,
    table_recovery,
    exactly_once,
)
