"""The same plain Faust app on stock Faust and on our host, so that a regression test can show the difference.

`python -m tests.integration.faust_host.rig stock|ours BOOTSTRAP` runs every scenario at once and prints what came out as JSON.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition

from streams.faust_host import HostFailed, host

COMMIT_S = 0.2
SESSION_MS = 2_000
STOCK_STOP_S = 15.0
SCENARIO_S = 70.0
SETTLED_S = 1.0
"""Five commit intervals: what is not committed by then is not going to be."""

Declare = Callable[[faust.App], None]


class Rig:
    """Topics, records, apps and committed offsets of one test run."""

    def __init__(self, bootstrap_servers: str, *, stock: bool) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.stock = stock

    async def __aenter__(self) -> "Rig":
        self.producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers)
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await self.producer.start()
        await self.admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.producer.stop()
        await self.admin.close()

    async def topic(self, partitions: int = 1, **config: str) -> str:
        name = f"host-{uuid.uuid4().hex[:12]}"
        await self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        return name

    async def produce(self, topic: str, *values: bytes, partition: int = 0, headers: Any = None) -> None:
        for value in values:
            await self.producer.send_and_wait(topic, value, partition=partition, headers=headers or [])

    async def committed(self, group: str, topic: str, partition: int = 0) -> int:
        """The group's offset; -1 when it has none."""
        offsets = await self.admin.list_consumer_group_offsets(group)
        found = offsets.get(TopicPartition(topic, partition))
        return -1 if found is None else int(found.offset)

    async def committed_in_the_end(self, group: str, topic: str, *, bad: int, partition: int = 0) -> int:
        """The offset once stock Faust has committed `bad`, too much; or ours has had time to do the same."""
        if not self.stock:
            await asyncio.sleep(SETTLED_S)
        for _ in range(300 if self.stock else 1):
            if (found := await self.committed(group, topic, partition)) == bad:
                break
            await asyncio.sleep(0.05)
        return found

    async def read(self, topic: str, timeout_s: float = 1.0) -> list[bytes]:
        """All committed records of a topic."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.bootstrap_servers, auto_offset_reset="earliest", isolation_level="read_committed"
        )
        await consumer.start()
        try:
            found = await consumer.getmany(timeout_ms=int(timeout_s * 1000))
            return [record.value for records in found.values() for record in records]
        finally:
            await consumer.stop()

    @contextlib.asynccontextmanager
    async def app(self, declare: Declare, group: str | None = None, **options: Any) -> AsyncIterator[tuple[str, faust.App]]:
        """Run an app; `options` are for the app it is: Faust's settings or our HostOptions."""
        group = group or f"group-{uuid.uuid4().hex[:12]}"
        if not self.stock:
            ours = host(
                group,
                bootstrap_servers=self.bootstrap_servers,
                **{
                    "commit_interval_s": COMMIT_S,
                    "drain_timeout_s": 0.2,
                    "revoke_grace_s": 0.2,
                    "session_timeout_ms": SESSION_MS,
                    **options,
                },
            )
            declare(ours.app)
            async with ours.running():
                yield group, ours.app
            return
        with tempfile.TemporaryDirectory() as datadir:
            app = faust.App(
                group,
                broker=f"kafka://{self.bootstrap_servers}",
                value_serializer="raw",
                topic_disable_leader=True,
                topic_allow_declare=False,
                **{
                    "broker_commit_interval": COMMIT_S,
                    "broker_session_timeout": SESSION_MS / 1000,
                    "broker_heartbeat_interval": SESSION_MS / 3000,
                    "web_enabled": False,
                    "stream_wait_empty": False,
                    "datadir": datadir,
                    **options,
                },
            )
            declare(app)
            await app.start()
            try:
                yield group, app
            finally:
                with contextlib.suppress(TimeoutError):  # stock Faust can wait a minute for its own thread
                    await asyncio.wait_for(app.stop(), STOCK_STOP_S)


async def until(true: Callable[[], bool], timeout_s: float = 30.0) -> bool:
    """Wait for a condition; False when it did not come true in time."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while not true():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % n for n in range(start, start + count)]


async def run_all(kind: str, bootstrap_servers: str) -> dict[str, Any]:
    """What every scenario returned, by its name."""
    from tests.integration.faust_host import scenarios  # noqa: PLC0415 - it imports this module

    async with Rig(bootstrap_servers, stock=kind == "stock") as rig:
        running = (asyncio.wait_for(scenario(rig), SCENARIO_S) for scenario in scenarios.ALL)
        found = await asyncio.gather(*running, return_exceptions=True)
    return {
        scenario.__name__: result if isinstance(result, dict) else {"raised": repr(result)}
        for scenario, result in zip(scenarios.ALL, found, strict=True)
    }


async def _main(kind: str, bootstrap_servers: str) -> None:
    print(json.dumps(await run_all(kind, bootstrap_servers)), flush=True)
    os._exit(0)  # a stock app that hangs in its start leaves threads and tasks that never end


__all__ = ["HostFailed", "Rig", "numbers", "until"]

if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
