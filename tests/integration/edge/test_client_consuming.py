"""Reading through the client, on a real Kafka: at least once, nothing passed over in silence, whoever comes and goes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.structs import TopicPartition

from schemas.serde import Serde
from streams.client import Consumption, Penstock, Record, RecordsGone, Unreadable
from streams.target import find_target
from tests.contract.records import EXAMPLES
from tests.integration.edge.conftest import Edge

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

PARTITIONS = 2
COST = EXAMPLES["CostEvent"]


@dataclass(frozen=True, slots=True)
class Ground:
    """A client, and a topic of one's own."""

    client: Penstock
    topic: str
    bootstrap_servers: str

    async def write(self, *names: str, partition: int = 0) -> None:
        await self.write_raw(*(Serde().encode(replace(COST, event_id=name)) for name in names), partition=partition)

    async def write_raw(self, *values: bytes | None, partition: int = 0) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap_servers) as producer:
            for value in values:
                await producer.send_and_wait(self.topic, value, key=b"acme", partition=partition)

    async def committed(self, group: str) -> dict[int, int]:
        async with _admin(self.bootstrap_servers) as admin:
            found = await admin.list_consumer_group_offsets(group)
        return {partition.partition: at.offset for partition, at in found.items()}

    async def delete_before(self, offset: int) -> None:
        async with _admin(self.bootstrap_servers) as admin:
            await admin.delete_records({TopicPartition(self.topic, 0): RecordsToDelete(before_offset=offset)})


@asynccontextmanager
async def _admin(bootstrap_servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.fixture
async def ground(edge: Edge) -> AsyncIterator[Ground]:
    settings = find_target(None, edge.data_dir).settings
    topic = f"client-{uuid.uuid4().hex[:8]}"
    async with _admin(str(settings.bootstrap_servers)) as admin:
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    async with Penstock(settings) as client:
        yield Ground(client, topic, str(settings.bootstrap_servers))


async def take(consumption: Consumption, count: int) -> list[Record]:
    """So many records; the body of the last one is left by `break`."""
    found: list[Record] = []
    async with asyncio.timeout(60):
        async for record in consumption:
            found.append(record)
            if len(found) == count:
                break
    return found


def names(records: list[Record]) -> list[str]:
    return [record.value.event_id for record in records]


async def test_a_group_goes_on_where_it_was_and_repeats_what_was_not_left(ground: Ground) -> None:
    await ground.write("a", "b", "c", "d")
    async with ground.client.consume(ground.topic, group="g-1") as first:
        found = await take(first, 2)
        assert names(await take(first, 1)) == ["b"], "its body was left by break: the next loop is given it again"
    assert names(found) == ["a", "b"]
    assert (found[0].partition, found[0].offset, found[0].key) == (0, 0, "acme")
    assert await ground.committed("g-1") == {0: 1}
    async with ground.client.consume(ground.topic, group="g-1") as second:
        assert names(await take(second, 3)) == ["b", "c", "d"]
        await second.commit()
        assert await ground.committed("g-1") == {0: 4}
    async with ground.client.consume(ground.topic, group="g-2") as other:
        assert names(await take(other, 1)) == ["a"], "another group reads for itself"


async def test_what_is_done_with_is_committed_while_the_loop_waits(ground: Ground) -> None:
    await ground.write("a", "b")
    consumption = ground.client.consume(ground.topic, group="g-3")
    await take(consumption, 2)
    waiting = asyncio.create_task(take(consumption, 2))  # "b" again, and then nothing more comes
    async with asyncio.timeout(30):
        while await ground.committed("g-3") != {0: 2}:  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_an_exception_in_the_body_loses_nothing(ground: Ground) -> None:
    await ground.write("a", "b")

    async def fail() -> None:
        async for record in consumption:
            raise LookupError(record.value.event_id)

    async with ground.client.consume(ground.topic, group="g-4") as consumption:
        with pytest.raises(LookupError, match="a"):
            await fail()
    assert await ground.committed("g-4") == {}
    async with ground.client.consume(ground.topic, group="g-4") as consumption:
        assert names(await take(consumption, 2)) == ["a", "b"]


async def test_what_is_no_record_is_given_as_such(ground: Ground) -> None:
    await ground.write_raw(b"{}", None, Serde().encode(COST)[:-1])
    await ground.write("a")
    async with ground.client.consume(ground.topic, group=None) as consumption:
        bad, tombstone, short, good = await take(consumption, 4)
    assert isinstance(bad.value, Unreadable)
    assert bad.raw == b"{}"
    assert tombstone.value is tombstone.raw is None
    assert short.value.reason == "truncated"
    assert good.value.event_id == "a"


async def test_where_a_group_begins(ground: Ground) -> None:
    await ground.write("old")
    async with ground.client.consume(ground.topic, group=None) as consumption:
        (old,) = await take(consumption, 1)
    await asyncio.sleep(0.01)
    await ground.write("new")
    async with ground.client.consume(ground.topic, group=None, from_=old.timestamp + timedelta(milliseconds=1)) as consumption:
        assert names(await take(consumption, 1)) == ["new"]
    async with ground.client.consume(ground.topic, group="g-5", from_="latest") as consumption:
        taking = asyncio.create_task(take(consumption, 1))
        await asyncio.sleep(2)
        await ground.write("newest")
        assert names(await taking) == ["newest"]


@pytest.mark.slow
async def test_members_share_the_partitions_and_take_over(ground: Ground) -> None:
    """Nothing is lost when a member joins in the middle and another one leaves; records may come twice."""
    seen: list[list[str]] = [[], []]
    written: set[str] = set()

    async def read(member: int) -> None:
        async with ground.client.consume(ground.topic, group="g-6") as consumption:
            async for record in consumption:
                seen[member].append(record.value.event_id)
                await asyncio.sleep(0.002)

    async def write_until(condition: Callable[[], bool]) -> None:
        """More and more, in both partitions."""
        async with asyncio.timeout(80):
            while not condition():
                for partition in range(PARTITIONS):
                    names = [f"{len(written)}-{n}" for n in range(20)]
                    await ground.write(*names, partition=partition)
                    written.update(names)
                await asyncio.sleep(0.3)

    reading = [asyncio.create_task(read(0))]
    await write_until(lambda: len(seen[0]) > 20)
    reading.append(asyncio.create_task(read(1)))
    await write_until(lambda: bool(seen[1]))
    before = len(seen[0])
    await write_until(lambda: len(seen[0]) > before)
    reading[0].cancel()
    await asyncio.gather(reading[0], return_exceptions=True)
    await write_until(lambda: len(written) > 200)
    async with asyncio.timeout(60):
        while {*seen[0], *seen[1]} != written:  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.1)
    reading[1].cancel()
    await asyncio.gather(reading[1], return_exceptions=True)
    assert len(seen[0]) + len(seen[1]) < 2 * len(written), "what was done with was committed when the partitions moved"


async def test_records_that_were_deleted_unread_are_not_passed_over_in_silence(ground: Ground) -> None:
    await ground.write("a", "b", "c")
    async with ground.client.consume(ground.topic, group="g-7") as consumption:
        await take(consumption, 2)
    await ground.delete_before(2)
    async with ground.client.consume(ground.topic, group="g-7") as consumption:
        with pytest.raises(RecordsGone, match="deleted unread") as gone:
            await take(consumption, 1)
    assert (gone.value.partition, gone.value.offset) == (0, 1)
    async with ground.client.consume(ground.topic, group="g-7", allow_gaps=True) as consumption:
        assert names(await take(consumption, 1)) == ["c"]


async def test_a_loop_ends_when_the_client_is_closed(edge: Edge) -> None:
    async with Penstock(data_dir=edge.data_dir) as client:
        taking = asyncio.create_task(take(client.consume("ai.alerts", group=None, from_="latest"), 10_000))
        await asyncio.sleep(1)
    assert await taking == []
