"""Faust's consumer, rebuilt for one promise: a committed offset never passes a record that is not done.

On a rebalance: the flow stops, the queues are emptied, events in work get a short grace, what is done is committed. What is still
in work then goes on, for a provider's call cannot be taken back. If its partition comes back, its acknowledgement counts and it
is not delivered twice; if the partition has moved, the new owner does it again, and the late acknowledgement counts for nothing.
The grace is bounded so that one long call cannot hold up the whole group.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.consumer import ensure_TPset
from faust.types.tuples import TP

from streams import offset_metadata
from streams.faust_host.delivery import Delivery
from streams.faust_host.message import Message
from streams.faust_host.offsets import PartitionOffsets

ANSWER_S = 3.0
"""How long a commit at a rebalance or a stop, and leaving the group, may take: a broker that is gone must not keep us."""

Commit = tuple[int, str]
"""An offset and its metadata: what is done beyond it."""


class Consumer(Delivery):
    """One per app. `app.options` is the HostOptions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._between: dict[TP, PartitionOffsets] = {}
        """The books from a revocation to the seek that follows; nothing is committed then."""
        self._moved: list[PartitionOffsets] = []
        """Books of partitions that are no longer ours, with events still in work."""
        self._committed: dict[TP, Commit | None] = {}
        self._rebalances = 0
        self._draining = False

    # -- stopping and waiting

    async def on_stop(self) -> None:
        """Commit what is done and leave the group."""
        if self._kafka is None:
            return
        await self._commit_now()
        try:
            await asyncio.wait_for(self._kafka.stop(), ANSWER_S)
        except TimeoutError:
            self.log.warning("Kafka did not answer within %s s; the group learns of the stop when the session ends", ANSWER_S)

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
        if not (self._draining or self.app.failed.is_set()):
            await self._until_idle(self.options.revoke_grace_s)
        await self._commit_now()

    def resume_flow(self) -> None:
        if not self._draining:
            super().resume_flow()

    async def _until_idle(self, timeout_s: float) -> bool:
        for book in self._books.values():
            book.release()
        deadline = self.loop.time() + timeout_s
        while any(book.in_work for book in (*self._books.values(), *self._between.values(), *self._moved)):
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    # -- figures

    @property
    def held(self) -> int:
        """Records delivered and not yet done: the memory a backlog takes here."""
        return sum(book.held for book in self._books.values())

    def lag(self) -> dict[TP, int]:
        """Records from the first unfinished one to the last stable offset, by partition, as of the last fetch."""
        kafka, lags = self._client(), {}
        for tp, book in self._books.items():
            end, done = kafka.last_stable_offset(TopicPartition(*tp)), book.committable()
            if end is not None and done is not None:
                lags[tp] = max(0, end - done)
        return lags

    async def verify_all_partitions_active(self) -> None:
        """Faust's livelock detector reads its monitor, which is off: `lag()` says more."""

    # -- acknowledgement and commit

    def ack(self, message: Any) -> bool:
        """Note that an event is done. False for one that was acknowledged before or whose delivery is void."""
        message.acked = True
        book = message.book if isinstance(message, Message) else None
        return book is not None and book.finish(message.offset, message)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002, FBT001, FBT002 - Faust's signature
        """Commit what is done. True when the broker took it."""
        wanted = {tp: book for tp, book in self._books.items() if topics is None or tp in topics or tp.topic in topics}
        commits = {tp: commit for tp, book in wanted.items() if (commit := self._to_commit(tp, book)) is not None}
        if not commits:
            return False
        await self.app.producer.flush()  # what agents sent without awaiting it
        if (failure := self.app.producer.failure) is not None:
            await self.crash(failure)
            return False
        commits = {tp: commit for tp, commit in commits.items() if self._books.get(tp) is wanted[tp]}
        if not commits or not await self._commit({tp: OffsetAndMetadata(*commit) for tp, commit in commits.items()}):
            return False
        self._committed.update(commits)
        self.app.tables.on_commit({tp: offset for tp, (offset, _) in commits.items()})
        return True

    def _to_commit(self, tp: TP, book: PartitionOffsets) -> Commit | None:
        """None when Kafka knows it already. Never below what was committed before."""
        offset, before = book.committable(), self._committed.get(tp)
        if offset is None or (before is not None and offset < before[0]):
            return None
        commit = (offset, offset_metadata.encode(offset, book.done))
        return None if commit == (before or (0, "")) else commit

    async def _commit(self, offsets: Mapping[TP, OffsetAndMetadata]) -> bool:
        try:
            await self._client().commit({TopicPartition(*tp): commit for tp, commit in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return False  # the group has moved on: what is not committed comes again, here or elsewhere
        return True

    async def _commit_now(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.maybe_wait_for_commit_to_finish()
                await self.force_commit()
        except TimeoutError:
            self.log.warning("Kafka did not take a commit within %s s; what it would have covered comes again", ANSWER_S)

    # -- rebalance and position

    def rebalance_begins(self) -> None:
        self.app.on_rebalance_start()

    async def on_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self.on_partitions_revoked(ensure_TPset(revoked))
        self._rebalances += 1
        for tp in self._changelog_readings:
            self._read_changelog_again(tp)
        self._between |= self._books
        self._books = {}
        self._buffered_partitions.clear()

    async def on_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._rebalances += 1
        generation = self._client()._coordinator.generation  # noqa: SLF001 - Faust's driver reads it there too
        if hasattr(self._assignor, "on_generation_assignment"):
            self._assignor.on_generation_assignment(generation)
        self.app.consumer_generation_id = generation
        await self.on_partitions_assigned(ensure_TPset(assigned), generation)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets. What is in work stays known where nobody else has committed since."""
        kafka, rebalances = self._client(), self._rebalances
        tps = [tp for tp in self.assignment() if self._acked_topic(tp)]
        committed = await self._read_committed(tps)
        if rebalances != self._rebalances:
            return  # rebalanced again meanwhile: that rebalance seeks for itself
        known = self._between | self._books
        self._between, self._books = {}, {}
        never = []
        for tp, commit in committed.items():
            book = known.get(tp)
            if book is None or commit != self._committed.get(tp):
                book = PartitionOffsets(None) if commit is None else PartitionOffsets(commit[0], offset_metadata.decode(*commit))
            self._books[tp] = book
            book.go_back(commit and commit[0])
            if commit is None:
                never.append(TopicPartition(*tp))
            else:
                kafka.seek(TopicPartition(*tp), commit[0])
        self._committed = committed
        ours = list(self._books.values())
        self._moved = [book for book in (*self._moved, *known.values()) if book.in_work and book not in ours]
        if never:
            await kafka.seek_to_beginning(*never)

    async def _read_committed(self, tps: list[TP]) -> dict[TP, Commit | None]:
        # aiokafka's public `committed` leaves the metadata out.
        coordinator = self._client()._coordinator  # noqa: SLF001
        found = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in tps])
        read = {tp: found.get(TopicPartition(*tp)) for tp in tps}
        return {tp: None if at is None or at.offset < 0 else (at.offset, at.metadata or "") for tp, at in read.items()}

    async def seek(self, partition: TP, offset: int) -> None:
        """Read again from `offset`, whatever was done before."""
        await self._seek(partition, offset)
        if partition in self._books:
            self._books[partition] = PartitionOffsets(offset)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        await self.perform_seek()
        return {tp: commit[0] for tp, commit in self._committed.items() if commit is not None}
