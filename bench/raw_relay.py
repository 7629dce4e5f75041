"""What Kafka and Avro cost alone: consumes requests, decodes them, and produces a response each. No routing, no call, no ledger.

python bench/raw_relay.py BOOTSTRAP REQUESTS_TOPIC RESPONSES_TOPIC       ends on SIGTERM
"""

import asyncio
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.calls import Output, Usage
from schemas.outcomes import InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from schemas.serde import Serde
from streams.placement import partition_of

NOW = datetime.now(UTC)
ANSWER = InferenceResponse(
    request_id="",
    tenant="",
    final=True,
    status=ResponseStatus.OK,
    request_model="auto",
    attempts=1,
    task_kind="other",
    policy="none@1",
    received_at=NOW,
    answered_at=NOW,
    output=Output(content="The fox jumps over the dog. " * 8, finish_reason="stop"),
    usage=Usage(120, 64),
    cost_nanousd=1,
    provider="openai",
    deployment="openai/raw",
)


async def relay(bootstrap_servers: str, requests_topic: str, responses_topic: str) -> None:
    """Until cancelled."""
    serde = Serde()
    decode, encode = serde.of(InferenceRequest).decode, serde.of(InferenceResponse).encode
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", max_batch_size=1_000_000)
    consumer = AIOKafkaConsumer(requests_topic, bootstrap_servers=bootstrap_servers, auto_offset_reset="latest")
    try:
        await producer.start()
        await consumer.start()
        await consumer.seek_to_end()
        count = len(await producer.partitions_for(responses_topic))
        print("ready", flush=True)
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                answers: list[list[tuple[bytes, bytes]]] = [[] for _ in range(count)]
                for record in records:
                    request = decode(record.value)
                    value = encode(replace(ANSWER, request_id=request.request_id, tenant=request.tenant))
                    answers[partition_of(request.request_id, count)].append((request.request_id.encode(), value))
                for partition, group in enumerate(answers):
                    await send(producer, responses_topic, partition, group)
    finally:
        await consumer.stop()
        await producer.stop()


async def send(producer: AIOKafkaProducer, topic: str, partition: int, group: list[tuple[bytes, bytes]]) -> None:
    """One partition's answers in as few batches as fit."""
    builder = producer.create_batch()
    for key, value in group:
        if builder.append(key=key, value=value, timestamp=None) is None:
            await producer.send_batch(builder, topic, partition=partition)
            builder = producer.create_batch()
            builder.append(key=key, value=value, timestamp=None)
    if builder.record_count():
        await producer.send_batch(builder, topic, partition=partition)


async def main() -> None:
    task = asyncio.ensure_future(relay(*sys.argv[1:4]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


if __name__ == "__main__":
    uvloop.run(main())
