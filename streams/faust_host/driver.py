"""aiokafka as Faust's consumer driver, in the app's own event loop instead of a second thread.

One hop less for every record, and a heartbeat that speaks for the loop that does the work. What stands here is what Faust asks of
any consumer: positions, ends, assignment. What is ours is in `consumer.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import ConsumerStoppedError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.types.tuples import TP

from streams.faust_host.kafka_client import Listener, new_consumer, sticky_assignor
from streams.faust_host.options import HostOptions


class Driver(FaustConsumer):
    """One per app. `app.options` is the HostOptions. A subclass is the listener of its own rebalances (`Rebalanced`)."""

    consumer_stopped_errors = (ConsumerStoppedError,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options: HostOptions = self.app.options
        self._kafka: AIOKafkaConsumer | None = None
        self._assignor: Any = None
        self._changelog_readings: Counter[TP] = Counter()
        self.read_to: dict[TP, int] = {}
        """Changelog partitions: everything below this offset has been handed to the tables, transaction markers included."""

    async def on_start(self) -> None:
        has_tables = bool(self.app.tables.changelog_topics)
        self._assignor = self.app.assignor if has_tables else sticky_assignor()
        self._kafka = new_consumer(self.options, self._assignor)
        await self._kafka.start()

    def close(self) -> None:
        """Faust calls this when a rebalance meets a stopping app; stopping closes the client."""

    def _client(self) -> AIOKafkaConsumer:
        if self._kafka is None:
            raise ConsumerNotStarted("the consumer has not started yet")
        return self._kafka

    async def subscribe(self, topics: Iterable[str]) -> None:
        self._client().subscribe(topics=list(topics), listener=Listener(self))

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        return await self._client().getmany(*(active_partitions or ()), timeout_ms=int(timeout * 1000))

    async def position(self, tp: TP) -> int | None:
        position: int | None = await self._client().position(TopicPartition(*tp))
        return position

    def assignment(self) -> set[TP]:
        tps: set[TP] = ensure_TPset(self._client().assignment())
        return tps

    def highwater(self, tp: TP) -> int:
        end: int | None = self._client().last_stable_offset(TopicPartition(*tp))
        return end or 0

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        return await self._ends(self._client().end_offsets, partitions)

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return await self._ends(self._client().beginning_offsets, partitions)

    async def _ends(self, ask: Any, partitions: Iterable[TP]) -> Mapping[TP, int]:
        wanted = [TopicPartition(*tp) for tp in partitions]
        return {ensure_TP(tp): offset for tp, offset in (await ask(wanted)).items()} if wanted else {}

    def topic_partitions(self, topic: str) -> int | None:
        partitions = self._client().partitions_for_topic(topic)
        return None if partitions is None else len(partitions)

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        partitions = self._client().partitions_for_topic(topic)
        if partition is not None or partitions is None:
            return partition
        every = sorted(partitions)
        chosen: int = DefaultPartitioner()(key, every, every)
        return chosen

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"topic {topic!r} must exist before the app starts: apps do not create topics")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._client().seek(TopicPartition(*partition), offset)

    def _read_changelog_again(self, tp: TP) -> None:
        """What was fetched before must not be handed to a table after what is read now."""
        self._changelog_readings[tp] += 1
        self.read_to.pop(tp, None)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        kafka = self._client()
        for tp, offset in partitions.items():
            kafka.seek(TopicPartition(*tp), offset)
            self._read_changelog_again(tp)
        await asyncio.gather(*(kafka.position(TopicPartition(*tp)) for tp in partitions))
