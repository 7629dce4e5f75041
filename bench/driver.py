"""The load: publishes requests, reads their responses, and keeps the times. A process of its own, light, on raw aiokafka.

    python bench/driver.py PLAN          PLAN is the JSON of `Plan`

It says `ready` when everything is encoded and connected, starts on a line of input, says `published` when the broker has all,
and ends with one line of JSON. What it measures starts at that line of input.
"""

import asyncio
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from schemas.ledger import CostTotal
from schemas.outcomes import InferenceResponse
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences, Sampling
from schemas.serde import Serde
from streams.placement import partition_of

PROMPT = "Please sum this up in a few words: " + "the quick brown fox jumps over the lazy dog. " * 8
STALLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`in_flight` requests at a time (a closed loop), or `rate` a second whatever comes back (an open one).

    With `totals_topic`, also how long after each response the cost totals count its call.
    """

    bootstrap_servers: str
    requests_topic: str
    responses_topic: str
    tag: str
    count: int
    in_flight: int = 1
    rate: float | None = None
    totals_topic: str | None = None
    provider: str = "openai"
    tenants: int = 8


@dataclass(slots=True)
class Times:
    """Seconds of the monotonic clock, by request."""

    sent: dict[bytes, float] = field(default_factory=dict)
    answered: dict[bytes, float] = field(default_factory=dict)
    counted: list[tuple[float, int]] = field(default_factory=list)
    """When the totals counted how many calls."""


class Driver:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.times, self.values = plan, Times(), []
        self.serde = Serde()
        self.acknowledged: list[asyncio.Future[Any]] = []
        self.drained = asyncio.Event()

    async def run(self) -> dict[str, Any]:
        plan = self.plan
        self.producer = AIOKafkaProducer(
            bootstrap_servers=plan.bootstrap_servers, acks="all", max_batch_size=1_000_000, client_id="bench-driver"
        )
        await self.producer.start()
        self.partitions = len(await self.producer.partitions_for(plan.requests_topic))
        requests = self.encoded()
        responses = await tail(plan.bootstrap_servers, plan.responses_topic)
        totals = await tail(plan.bootstrap_servers, plan.totals_topic) if plan.totals_topic else None
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        process = psutil.Process()
        cpu_s, began_s = sum(process.cpu_times()[:2]), time.monotonic()
        counting = asyncio.create_task(self.count(totals)) if totals is not None else None
        await (self.closed_loop(requests, responses) if plan.rate is None else self.open_loop(requests, responses))
        ended_s = time.monotonic()
        used_s = sum(process.cpu_times()[:2]) - cpu_s
        if counting is not None:
            await asyncio.wait_for(counting, timeout=STALLED_S)
        for consumer in (responses, totals):
            if consumer is not None:
                await consumer.stop()
        await self.producer.stop()
        return {
            "count": plan.count,
            "took_s": ended_s - began_s,
            "cpu_ms_per_request": used_s * 1000 / plan.count,
            **rates(sorted(self.times.answered.values()), plan.count, began_s),
            **{f"latency_ms_{name}": value for name, value in quantiles(self.latencies_ms()).items()},
            **({f"cost_lag_ms_{name}": value for name, value in quantiles(self.lags_ms()).items()} if totals else {}),
            "statuses": self.statuses(),
        }

    def encoded(self) -> list[tuple[int, bytes, bytes, bytes]]:
        """(partition, tenant, request_id, value) of every request, tenants spread evenly over the partitions."""
        plan, encode = self.plan, self.serde.of(InferenceRequest).encode
        tenants = [[] for _ in range(self.partitions)]
        number = 0
        while any(len(names) < max(1, plan.tenants // self.partitions) for names in tenants):
            name = f"{plan.tag}-{number}"
            tenants[partition_of(name, self.partitions)].append(name)
            number += 1
        found = []
        for i in range(plan.count):
            partition = i % self.partitions
            names = tenants[partition]
            tenant = names[i // self.partitions % len(names)]
            request = InferenceRequest(
                request_id=f"{plan.tag}-{i}",
                tenant=tenant,
                model="auto",
                preferences=Preferences(provider=plan.provider),
                messages=(Message("user", f"{plan.tag} {i}: {PROMPT}"),),
                sampling=Sampling(max_output_tokens=64, temperature=0.2),
                cache=CachePolicy(CacheMode.OFF),
            )
            found.append((partition, tenant.encode(), request.request_id.encode(), encode(request)))
        return found

    async def publish(self, requests: Iterable[tuple[int, bytes, bytes, bytes]]) -> None:
        groups: dict[int, list[tuple[int, bytes, bytes, bytes]]] = {}
        for request in requests:
            groups.setdefault(request[0], []).append(request)
        now_s = time.monotonic()
        for partition, group in groups.items():
            builder = self.producer.create_batch()
            for _, tenant, request_id, value in group:
                self.times.sent[request_id] = now_s
                if builder.append(key=tenant, value=value, timestamp=None) is None:
                    await self._send(builder, partition)
                    builder = self.producer.create_batch()
                    builder.append(key=tenant, value=value, timestamp=None)
            await self._send(builder, partition)

    async def _send(self, builder: Any, partition: int) -> None:
        self.acknowledged.append(await self.producer.send_batch(builder, self.plan.requests_topic, partition=partition))

    async def closed_loop(self, requests: Sequence[Any], responses: AIOKafkaConsumer) -> None:
        next_up = min(self.plan.in_flight, len(requests))
        await self.publish(requests[:next_up])
        if next_up == len(requests):
            await asyncio.gather(*self.acknowledged)
            print("published", flush=True)
        async for answered in self.answers(responses):
            upto = min(next_up + answered, len(requests))
            if upto > next_up:
                await self.publish(requests[next_up:upto])
                next_up = upto
        await asyncio.gather(*self.acknowledged)

    async def open_loop(self, requests: Sequence[Any], responses: AIOKafkaConsumer) -> None:
        async def pace() -> None:
            began_s, done, rate = time.monotonic(), 0, float(self.plan.rate or 1)
            while done < len(requests):
                due = min(int((time.monotonic() - began_s) * rate) + 1, len(requests))
                if due > done:
                    await self.publish(requests[done:due])
                    done = due
                await asyncio.sleep(0.005)

        pacing = asyncio.create_task(pace())
        async for _ in self.answers(responses):
            pass
        await pacing

    async def answers(self, responses: AIOKafkaConsumer) -> Any:
        """How many new answers each read brought, until all have come."""
        answered, sent = self.times.answered, self.times.sent
        last_s = time.monotonic()
        while len(answered) < self.plan.count:
            batches = await responses.getmany(timeout_ms=500)
            now_s = time.monotonic()
            fresh = 0
            for records in batches.values():
                for record in records:
                    if record.key in sent and record.key not in answered:
                        answered[record.key] = now_s
                        self.values.append(record.value)
                        fresh += 1
            if fresh:
                last_s = now_s
                yield fresh
            elif now_s - last_s > STALLED_S:
                raise SystemExit(f"{len(answered)} of {len(sent)} answers came, then none for {STALLED_S:.0f} s")
        self.drained.set()

    async def count(self, totals: AIOKafkaConsumer) -> None:
        """Keep when the totals of this run's tenants reached how many calls."""
        decode, prefix = self.serde.of(CostTotal).decode, f"{self.plan.tag}-"
        calls: dict[bytes, int] = {}
        while sum(calls.values()) < self.plan.count:
            batches = await totals.getmany(timeout_ms=500)
            now_s = time.monotonic()
            for records in batches.values():
                for record in records:
                    total = decode(record.value)
                    if total.tenant.startswith(prefix):
                        calls[record.key] = total.calls
            self.times.counted.append((now_s, sum(calls.values())))

    def latencies_ms(self) -> list[float]:
        return [(at - self.times.sent[key]) * 1000 for key, at in self.times.answered.items()]

    def lags_ms(self) -> list[float]:
        """From the nth response read to the moment when n calls were counted; 0 where the total came first.

        One call a request, and response and total are of one transaction, so the nth of one belongs to the nth of the other.
        """
        lags, step = [], 0
        for n, at in enumerate(sorted(self.times.answered.values()), start=1):
            while self.times.counted[step][1] < n:
                step += 1
            lags.append(max(0.0, self.times.counted[step][0] - at) * 1000)
        return lags

    def statuses(self) -> dict[str, int]:
        decode = self.serde.of(InferenceResponse).decode
        return dict(Counter(decode(value).status.value for value in self.values))


async def tail(bootstrap_servers: str, topic: str) -> AIOKafkaConsumer:
    """A committed reader of a topic, from its end on."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="latest",
        max_partition_fetch_bytes=4_000_000,
        client_id="bench-driver",
    )
    await consumer.start()
    ends = await consumer.end_offsets(consumer.assignment())
    for partition, end in ends.items():
        consumer.seek(TopicPartition(*partition), end)
    return consumer


def rates(answered: Sequence[float], count: int, began_s: float) -> dict[str, float]:
    """Answers a second: between the first and the last tenth, which leaves out filling and draining; and over all."""
    low, high = count // 10, count - 1 - count // 10
    steady = (high - low) / (answered[high] - answered[low]) if answered[high] > answered[low] else 0.0
    return {"rps": steady, "rps_overall": count / (answered[-1] - began_s), "first_answer_s": answered[0] - began_s}


def quantiles(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(values)}


def plan_text(plan: Plan) -> str:
    """A plan as the command line takes it."""
    return json.dumps(asdict(plan))


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Driver(Plan(**json.loads(sys.argv[1]))).run())), flush=True)
