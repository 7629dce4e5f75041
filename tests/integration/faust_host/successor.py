"""A member that takes over: publishes, is given the topic by the group, reads and commits what was published, and leaves.

`python -m tests.integration.faust_host.successor BOOTSTRAP GROUP TOPIC COUNT`. A process of its own, so that a loop that hangs
can wait for it.
"""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.faust_host.kafka_client import sticky_assignor


async def main(bootstrap_servers: str, group: str, topic: str, count: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    for number in range(int(count)):
        await producer.send(topic, b"%d" % number, partition=0)
    await producer.stop()
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        partition_assignment_strategy=[sticky_assignor()],
    )
    await consumer.start()
    try:
        for _ in range(int(count)):
            await consumer.getone()
        await consumer.commit()
    finally:
        await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
