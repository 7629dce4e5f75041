"""A process that runs a host until SIGTERM: `python -m tests.integration.faust_host.served BOOTSTRAP GROUP TOPIC NOTES`.

Values: `slow` takes half a second, `long` an hour (and notes its cancellation through Kafka's acknowledgement), `bad` raises.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.faust_host import Delivered, each, host


async def main(bootstrap_servers: str, group: str, topic: str, notes: str) -> None:
    file = Path(notes)

    def note(text: str) -> None:
        with file.open("a") as out:
            out.write(text + "\n")

    ours = host(group, bootstrap_servers=bootstrap_servers, drain_timeout_s=1.5, session_timeout_ms=3_000)

    async def handle(record: Delivered) -> None:
        value = (record.value or b"").decode()
        note(f"began {value}")
        if value == "bad":
            raise ValueError(value)
        try:
            await asyncio.sleep({"slow": 0.5, "long": 3600}.get(value, 0))
        except asyncio.CancelledError:
            await producer.send_and_wait(topic, b"cancelled", partition=1)
            note(f"cancelled {value}")
            raise
        note(f"done {value}")

    @ours.agent(topic, name="served")
    async def served(stream: Any) -> None:
        await each(stream, handle, concurrency=8)

    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)
    await producer.start()
    try:
        await ours.run(on_ready=lambda: note("ready"))
    finally:
        await producer.stop()
    note("stopped")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
