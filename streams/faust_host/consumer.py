"""Faust's consumer, rebuilt for one promise: a committed offset never passes a record that is not done.

It runs aiokafka in the app's own event loop instead of Faust's second thread: one hop less for every record, and a heartbeat
that speaks for the loop that does the work. What Faust asks of a consumer (tables, recovery, flow control) it answers as before.

On a rebalance: the flow stops, the queues are emptied, events in work get a short grace, what is done is committed. What is still
in work then goes on. If its partition comes back, its acknowledgement counts and it is not delivered twice; if the partition has
moved, the new owner does it again, and the late acknowledgement counts for nothing.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import ensure_TP, ensure_TPset
from faust.types.tuples import TP

from streams.faust_host.kafka_client import Listener, new_consumer, sticky_assignor
from streams.faust_host.message import Message, from_record
from streams.faust_host.offsets import PartitionOffsets
from streams.faust_host.options import HostOptions

POLL_S = 1.0
RECOVERY_POLL_S = 0.05
STOP_S = 10.0
YIELD_EVERY = 100

Fetched = list[tuple[TP, PartitionOffsets | None, int, list[Any]]]


class Consumer(FaustConsumer):
    """One per app. `app.options` is the HostOptions."""

    consumer_stopped_errors = (ConsumerStoppedError,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.options: HostOptions = self.app.options
        self._kafka: AIOKafkaConsumer | None = None
        self._assignor: Any = None
        self._books: dict[TP, PartitionOffsets] = {}
        self._held: dict[TP, PartitionOffsets] = {}
        self._committed: dict[TP, int | None] = {}
        self._fetching: asyncio.Task[Fetched] | None = None
        self._some_active = asyncio.Event()
        self._draining = False
        self.read_to: dict[TP, int] = {}
        """Changelog partitions: everything below this offset has been handed to the tables, transaction markers included."""

    # -- life

    async def on_start(self) -> None:
        has_tables = bool(self.app.tables.changelog_topics)
        self._assignor = self.app.assignor if has_tables else sticky_assignor()
        self._kafka = new_consumer(self.options, self._assignor)
        await self._kafka.start()

    async def on_stop(self) -> None:
        """Commit what is done and leave the group, both within a bound: a broker that is gone must not keep the process."""
        if self._kafka is None:
            return
        try:
            await asyncio.wait_for(self._commit_now(), STOP_S)
            await asyncio.wait_for(self._kafka.stop(), STOP_S)
        except TimeoutError:
            self.log.warning("Kafka did not answer within %s s of stopping; uncommitted events will come again", STOP_S)

    def close(self) -> None:
        """Faust calls this when a rebalance meets a stopping app; `on_stop` closes the client."""

    async def drain(self, timeout_s: float) -> bool:
        """Take no new events, wait for those in work, commit. False when some were still in work after `timeout_s`."""
        self._draining = True
        self.stop_flow()
        self.app.flow_control.suspend()
        self.app.flow_control.clear()
        done = await self._until_idle(timeout_s)
        await self._commit_now()
        return done

    async def wait_empty(self) -> None:
        """What a rebalance and a stop wait for: the grace for events in work, then a commit. Never longer."""
        if not self._draining:
            await self._until_idle(self.options.revoke_grace_s)
        await self._commit_now()

    async def _until_idle(self, timeout_s: float) -> bool:
        for book in self._books.values():
            book.release()
        deadline = self.loop.time() + timeout_s
        while any(book.in_work for book in self._books.values()):
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def resume_flow(self) -> None:
        if not self._draining:
            super().resume_flow()

    @property
    def held(self) -> int:
        """Records delivered and not yet done: the memory a backlog takes here."""
        return sum(book.held for book in self._books.values())

    def lag(self) -> dict[TP, int]:
        """Records behind the last stable offset, by partition, as of the last fetch."""
        kafka, lags = self._client(), {}
        for tp, book in self._books.items():
            end, done = kafka.last_stable_offset(TopicPartition(*tp)), book.committable()
            if end is not None and done is not None:
                lags[tp] = max(0, end - done)
        return lags

    # -- delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        deliver, app, since_yield = self.callback, self.app, 0
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.can_resume_flow.wait()
                for tp, book, reading, records in await self._fetch():
                    for record in records:
                        if not self.flow_active:
                            await self.can_resume_flow.wait()
                        if book is not None and (self._books.get(tp) is not book or book.readings != reading):
                            break
                        message = from_record(record, tp, generation=app.consumer_generation_id, book=book)
                        if book is None or book.deliver(record.offset, message):
                            await deliver(message)
                        since_yield += 1
                        if since_yield >= YIELD_EVERY:
                            since_yield = 0
                            await asyncio.sleep(0)
                if app.in_recovery:
                    await self._note_positions()
        except ConsumerStoppedError:
            if not app.should_stop:
                raise
        except asyncio.CancelledError:
            if not (fetcher.should_stop or app.should_stop):
                raise

    async def _fetch(self) -> Fetched:
        """The next records of the active partitions; empty when a pause or a second went by."""
        active = self._get_active_partitions()
        if not active:
            self._some_active.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._some_active.wait(), POLL_S)
            return []
        self._fetching = asyncio.create_task(self._poll([TopicPartition(*tp) for tp in active]))
        try:
            return await self._fetching
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if self._fetching.cancelled() and current is not None and not current.cancelling():
                return []  # a partition became active: fetch again, with it
            self._fetching.cancel()
            raise
        finally:
            self._fetching = None

    async def _note_positions(self) -> None:
        for tp in list(self._get_active_partitions()):
            if not self._acked_topic(tp):
                self.read_to[tp] = await self._client().position(TopicPartition(*tp))

    async def _poll(self, active: list[TopicPartition]) -> Fetched:
        # A reading of markers alone returns nothing, and must not keep a recovery waiting.
        wait_s = RECOVERY_POLL_S if self.app.in_recovery else POLL_S
        fetched = await self._client().getmany(*active, timeout_ms=int(wait_s * 1000), max_records=self.options.max_poll_records)
        # Which reading a record belongs to is noted in the same step of the loop in which aiokafka handed it out.
        found: Fetched = []
        for topic_partition, records in fetched.items():
            tp = ensure_TP(topic_partition)
            book = self._books.get(tp)
            if book is None and self._acked_topic(tp):
                continue  # between a rebalance and the seek that ends it: will be read again
            found.append((tp, book, book.readings if book else 0, records))
        return found

    def _acked_topic(self, tp: TP) -> bool:
        return bool(self.app.topics.acks_enabled_for(tp.topic)) and not self._is_changelog_tp(tp)

    def _set_active_tps(self, tps: set[TP]) -> set[TP]:
        active: set[TP] = super()._set_active_tps(tps)
        self._wake()
        return active

    def on_buffer_drop(self, tp: TP) -> None:
        super().on_buffer_drop(tp)
        self._wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._wake()

    def _wake(self) -> None:
        self._some_active.set()
        if self._fetching is not None:
            self._fetching.cancel()

    # -- acknowledgement and commit

    def ack(self, message: Any) -> bool:
        """Note that an event is done. False for one that was acknowledged before or whose partition has moved."""
        message.acked = True
        book = message.book if isinstance(message, Message) else None
        return book is not None and book.finish(message.offset, message)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - Faust's signature
        """Commit what is done. True when the broker took it."""
        offsets: dict[TP, int] = {}
        for tp, book in self._books.items():
            wanted = topics is None or tp in topics or tp.topic in topics
            if wanted and (offset := book.committable()) is not None and offset > (self._committed.get(tp) or 0):
                offsets[tp] = offset
        if not offsets:
            return False
        books = {tp: self._books[tp] for tp in offsets}
        await self.app.producer.flush()  # what agents sent without awaiting it
        if (failure := self.app.producer.failure) is not None:
            await self.crash(failure)
            return False
        offsets = {tp: offset for tp, offset in offsets.items() if self._books.get(tp) is books[tp]}
        if not offsets or not await self._commit(offsets):
            return False
        self._committed.update(offsets)
        self.app.tables.on_commit(offsets)
        return True

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._client().commit({TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return False  # the group has moved on: what is not committed comes again, here or elsewhere
        return True

    async def _commit_now(self) -> None:
        await self.maybe_wait_for_commit_to_finish()
        await self.force_commit()

    async def verify_all_partitions_active(self) -> None:
        """Faust's livelock detector reads its monitor, which is off: `lag()` says more."""

    # -- rebalance and position

    def rebalance_begins(self) -> None:
        self.app.on_rebalance_start()

    async def on_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self.on_partitions_revoked(ensure_TPset(revoked))
        self._held, self._books = self._books, {}

    async def on_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        generation = self._client()._coordinator.generation  # noqa: SLF001 - Faust's driver reads it there too
        if hasattr(self._assignor, "on_generation_assignment"):
            self._assignor.on_generation_assignment(generation)
        self.app.consumer_generation_id = generation
        await self.on_partitions_assigned(ensure_TPset(assigned), generation)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets. What is in work stays known where nobody else has committed since."""
        kafka, generation = self._client(), self.app.consumer_generation_id
        tps = [tp for tp in self.assignment() if self._acked_topic(tp)]
        committed = await asyncio.gather(*(kafka.committed(TopicPartition(*tp)) for tp in tps))
        if generation != self.app.consumer_generation_id:
            return  # rebalanced again meanwhile: that rebalance seeks for itself
        known, self._books, self._held = {**self._held, **self._books}, {}, {}
        fresh = []
        for tp, offset in zip(tps, committed, strict=True):
            book = known.get(tp)
            if book is None or offset != self._committed.get(tp):
                book = PartitionOffsets(offset)
            self._books[tp] = book
            book.go_back(offset)
            if offset is None:
                fresh.append(TopicPartition(*tp))
            else:
                kafka.seek(TopicPartition(*tp), offset)
        self._committed = dict(zip(tps, committed, strict=True))
        if fresh:
            await kafka.seek_to_beginning(*fresh)

    async def seek(self, partition: TP, offset: int) -> None:
        """Read again from `offset`, whatever was done before."""
        await self._seek(partition, offset)
        if partition in self._books:
            self._books[partition] = PartitionOffsets(offset)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._client().seek(TopicPartition(*partition), offset)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        await self.perform_seek()
        return {tp: offset for tp, offset in self._committed.items() if offset is not None}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        kafka = self._client()
        for tp, offset in partitions.items():
            kafka.seek(TopicPartition(*tp), offset)
            self.read_to.pop(tp, None)
        await asyncio.gather(*(kafka.position(TopicPartition(*tp)) for tp in partitions))

    # -- what Faust asks for

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

    async def create_topic(self, topic: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002 - Faust's signature
        raise NotImplementedError(f"topic {topic!r} must exist before the app starts: apps do not create topics")

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def _to_message(self, tp: TP, record: Any) -> Message:
        return from_record(record, tp, generation=self.app.consumer_generation_id, book=self._books.get(tp))
