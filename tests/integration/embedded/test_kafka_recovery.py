"""After a kill -9 every acknowledged transaction is visible to `read_committed` readers: see `kafka_recovery`."""

import asyncio
import signal

import aiokafka
import pytest
from aiokafka import TopicPartition

from streams.embedded.readiness import poll
from tests.fakes.stack import embedded_kafka
from tests.integration.embedded.test_kafka import make_topic

pytestmark = [pytest.mark.stack, pytest.mark.slow]

PRODUCERS = 12
KILLS = 3


async def commit_until_killed(broker, kill_number):
    """Commit with several producers and kill the broker at the first acknowledgement: markers are under way."""
    producers = [
        aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, transactional_id=f"kill-{kill_number}-{number}", request_timeout_ms=3_000
        )
        for number in range(PRODUCERS)
    ]
    for producer in producers:
        await producer.start()

    async def commit(producer):
        async with producer.transaction():
            await producer.send("orders", b"order")

    commits = [asyncio.create_task(commit(producer)) for producer in producers]
    await asyncio.wait(commits, return_when=asyncio.FIRST_COMPLETED)
    broker.kill(signal.SIGKILL)
    acknowledged = sum(1 for task in commits if task.done() and task.exception() is None)
    for task in commits:
        task.cancel()
    await asyncio.gather(*commits, return_exceptions=True)
    for producer in producers:  # an orderly stop would wait for the broker, which is gone
        producer._closed = True
        producer._sender._sender_task.cancel()
        await producer.client.close()
    return acknowledged


async def end_offset(bootstrap_servers, isolation_level):
    async with aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap_servers, isolation_level=isolation_level) as consumer:
        partition = TopicPartition("orders", 0)
        return (await consumer.end_offsets([partition]))[partition]


async def until_nothing_is_open(bootstrap_servers):
    async def stable():
        return await end_offset(bootstrap_servers, "read_committed") == await end_offset(bootstrap_servers, "read_uncommitted")

    async with asyncio.timeout(30):
        await poll(stable, every_s=0.2)


async def resolve(broker, kill_number):
    """Take every transactional id over: what was not committed is aborted, what was committed gets its marker."""
    for number in range(PRODUCERS):
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, transactional_id=f"kill-{kill_number}-{number}"
        )
        async with producer:
            pass


@pytest.mark.timeout(300)
async def test_no_committed_transaction_is_left_open_by_a_kill(tmp_path):
    acknowledged = 0
    with embedded_kafka(tmp_path) as broker:
        await make_topic(broker.bootstrap_servers, "orders")
        for kill_number in range(KILLS):
            acknowledged += await commit_until_killed(broker, kill_number)
            await asyncio.to_thread(broker.start)
            await resolve(broker, kill_number)

            await until_nothing_is_open(broker.bootstrap_servers)

        async with aiokafka.AIOKafkaConsumer(
            "orders", bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest", isolation_level="read_committed"
        ) as consumer:
            read = 0
            while records := await consumer.getmany(timeout_ms=2_000):
                read += sum(len(batch) for batch in records.values())

    assert acknowledged >= KILLS
    assert read >= acknowledged
    assert "likely deleted already" not in (tmp_path / "kafka.log").read_text()
