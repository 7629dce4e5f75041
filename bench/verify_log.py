"""Writes the complete, right log of many answered requests as fast as a broker takes it, without a pipeline.

One record of each kind is encoded in full, and the ids in its bytes are replaced by others of the same length.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import IO

from aiokafka import AIOKafkaProducer
from verify_stories import DEPLOYMENTS, NAME, NUMBER, SHARES, Story, Template, tell

from processors.cost import totals
from schemas.ledger import CostTotal
from schemas.serde import Serde
from schemas.state import DispatchChange
from streams import topics
from streams.placement import partition_of
from streams.settings import Settings

PROVIDERS = ("anthropic", "openai")
_TENANTS = tuple(f"tenant-{n:02d}" for n in range(16))
_SLICE = 1_000
"""Requests of one tenant at one time, in one transaction."""

_MINUTES = 300
_TRANSACTIONAL = frozenset({topics.RESPONSES, topics.COSTS, topics.COST_TOTALS, topics.CHANGELOG, *map(topics.calls, PROVIDERS)})


class Writer:
    """Writes slices of requests, each in the transaction of its lane partition, and states the totals with them."""

    def __init__(self, settings: Settings, plain: AIOKafkaProducer, lanes: list[AIOKafkaProducer], logs: "Logs | None") -> None:
        self._settings, self._plain, self._lanes, self._logs = settings, plain, lanes, logs
        self._serde = Serde()
        self._began = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(minutes=_MINUTES + 60)
        self._totals: dict[str, CostTotal] = {}
        self._written: dict[tuple[str, int], int] = {}
        self.requests = 0
        self._slices = 0

    async def write(self, requests: int) -> None:
        """So many requests more."""
        while requests > 0:
            numbers = range(self.requests, self.requests + min(_SLICE, requests))
            requests -= len(numbers)
            await self._slice(numbers)

    async def break_one(self) -> str:
        """One request more, whose final response is missing; returns its key."""
        story = await self._slice(range(self.requests, self.requests + 1), without=topics.RESPONSES)
        return f"{story.tenant}/{NAME.replace(NUMBER, _padded(self.requests - 1))}"

    async def _slice(self, numbers: range, *, without: str | None = None) -> Story:
        n, self._slices, self.requests = self._slices, self._slices + 1, numbers.stop
        tenant, at = _TENANTS[n % len(_TENANTS)], self._began + timedelta(minutes=n % _MINUTES, seconds=n // _MINUTES % 60)
        partition = partition_of(tenant, self._settings.partitions)
        records: dict[str, list[tuple[bytes, bytes]]] = {}
        kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
        changed: set[str] = set()
        for kind in SHARES:
            own = [number for number in numbers if kinds[number * 37 % 100] == kind]
            story = tell(Story(tenant, at, *DEPLOYMENTS[n % len(DEPLOYMENTS)], self._serde), kind)
            filled = [_padded(number).encode() for number in own]
            for template in story.templates:
                if template.topic != without:
                    records.setdefault(template.topic, []).extend(_filled(template, filled))
            for event in story.costs if own else ():
                key = totals.total_key(event)
                self._totals[key] = _sum(self._totals.get(key), totals.add(None, event, now=at), len(own))
                changed.add(key)
            if self._logs is not None:
                self._logs.write(story, own)
        records[topics.COST_TOTALS] = [(key.encode(), self._serde.encode(self._totals[key])) for key in sorted(changed)]
        lane = self._lanes[partition]
        for topic in (name for name in records if name not in _TRANSACTIONAL):
            await self._send(self._plain, topic, partition, at, records[topic])
        records[topics.CHANGELOG] += [
            (f"position/{topic}".encode(), self._serde.encode(DispatchChange(position=self._written[topic, partition])))
            for topic in (topics.ROUTED, topics.ATTEMPTS)
        ]
        async with lane.transaction():
            for topic in (name for name in records if name in _TRANSACTIONAL):
                await self._send(lane, topic, partition, at, records[topic])
        return story

    async def _send(
        self, producer: AIOKafkaProducer, topic: str, partition: int, at: datetime, records: Iterable[tuple[bytes, bytes]]
    ) -> None:
        timestamp, batch, sent = int(at.timestamp() * 1000), producer.create_batch(), []
        for key, value in records:
            if batch.append(timestamp=timestamp, key=key, value=value) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=timestamp, key=key, value=value)
            self._written[topic, partition] = self._written.get((topic, partition), 0) + 1
        if batch.record_count():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)


@dataclass(slots=True)
class Logs:
    """The simulator's and the publisher's log of the same requests."""

    calls: IO[str]
    acknowledged: IO[str]
    _seq: int = 0

    def write(self, story: Story, numbers: Iterable[int]) -> None:
        common = {"run": "r", "bytes_out": 10, "completed": True}
        templates = [
            json.dumps({"event": event, "seq": -1, **common, **c}) for c in story.calls for event in ("arrived", "finished")
        ]
        tenant = json.dumps({"tenant": story.tenant, "request_id": NAME})
        for number in numbers:
            padded = _padded(number)
            self.acknowledged.write(tenant.replace(NUMBER, padded) + "\n")
            for i, template in enumerate(templates):
                self._seq += i % 2 == 0
                self.calls.write(template.replace(NUMBER, padded).replace('"seq": -1', f'"seq": {self._seq}', 1) + "\n")

    def flush(self) -> None:
        self.calls.flush()
        self.acknowledged.flush()


def _padded(number: int) -> str:
    return f"{number:0{len(NUMBER)}d}"


def _filled(template: Template, numbers: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    key, value, placeholder = template.key, template.value, NUMBER.encode()
    for number in numbers:
        yield key.replace(placeholder, number), value.replace(placeholder, number)


def _sum(total: CostTotal | None, one: CostTotal, count: int) -> CostTotal:
    """The total with `count` events more that each add what `one` says."""
    names = [f.name for f in fields(CostTotal) if isinstance(getattr(one, f.name), int)]
    return replace(one, **{name: getattr(one, name) * count + (getattr(total, name) if total else 0) for name in names})
