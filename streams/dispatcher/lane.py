"""One lane partition: its transactional producer, its state, and the cycle that advances both together."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaTimeoutError
from aiokafka.producer import sender
from aiokafka.structs import ConsumerRecord, TopicPartition

from processors.cost.prices import PriceBook
from processors.dispatch.decide import timers_of
from processors.dispatch.policy import DispatchPolicy
from schemas.serde import Serde
from streams import clock, faults, metrics, topics
from streams.dispatcher.cycle import Cycle, Folded
from streams.dispatcher.restore import Restored, catch_up
from streams.dispatcher.timers import Timers
from streams.newcomers import Newcomers
from streams.placement import partition_of
from streams.publisher import MAX_BATCH_BYTES, Outgoing, send_group
from streams.settings import Settings
from streams.stores.recent import Recent
from streams.topics import MAX_MESSAGE_BYTES

log = structlog.get_logger(__name__)

# aiokafka waits this long, in seconds, when a transaction follows so closely that the broker still settles the last one. Its own
# 20 ms are the p90 of back-to-back cycles (27 ms); with 2 ms it is 8 to 11 ms.
sender.BACKOFF_OVERRIDE = 0.002

_IDLE_S = 1.0
_BARRIER_WAIT_S = 0.05
_QUIET_S = 0.05
"""How long a change of state that nobody waits for may go uncommitted."""
_LOOK_AGAIN_S = 2.0
_BUSY_EVENTS = 8
_GATHER_S = 0.008
_SECOND_POLL_S = 0.003
_K3_DELAY_S = 0.003
_LANDED, _LANDED_BYTES, _LANDED_S = 4_096, 8 << 20, 2.0
"""Answers that are kept for identical requests which come before the cache has them: it takes some tenths of a second."""
_STOOD_STILL_S = 1.0
"""A wait that took so much longer than it should: the process was stopped, or its loop hung."""


class Lane:
    """Runs one partition from fencing to its end.

    After any error the state is worthless: it is dropped, and the group decides anew.
    """

    def __init__(
        self,
        partition: int,
        *,
        consumer: AIOKafkaConsumer,
        restored: Restored,
        settings: Settings,
        serde: Serde,
        policy: DispatchPolicy,
        prices: PriceBook,
        security: Mapping[str, Any],
        cancelled: Callable[[str, str], bool],
    ) -> None:
        self.partition = partition
        self.restored = restored
        self._consumer, self._settings, self._serde = consumer, settings, serde
        self._policy, self._prices, self._security = policy, prices, security
        self._newcomers = Newcomers(serde.catalogue, settings)
        self._routed = TopicPartition(topics.ROUTED, partition)
        self._attempts = TopicPartition(topics.ATTEMPTS, partition)
        self._stopping = False
        self._waiting: asyncio.Future[Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._counts: dict[str, int] = {}
        self._barrier: tuple[datetime, int] | None = None
        self._folded = Folded()
        self._folded_since: float | None = None
        self._committed_at = 0.0
        self._busy = False
        self._polls = 0
        self.committed: dict[TopicPartition, int] = {}
        """How far the inputs have been read in transactions that stand: what a restart of this lane would go back to."""
        self._look_again_at = 0.0
        self._clock = clock.SteadyClock()
        self._advice: dict[str, bool] = {}
        self._is_cancelled = cancelled
        self._cancelled: set[str] = set()

    def advise(self, deployment: str, *, down: bool) -> None:
        """Take what the fleet has found out about a deployment into the next cycle."""
        self._advice[deployment] = down

    def cancel(self, request_key: str) -> None:
        """Take what a sender does not want any longer into the next cycle."""
        self._cancelled.add(request_key)

    def start(self) -> "asyncio.Task[None]":
        self._task = asyncio.create_task(self._run(), name=f"lane-{self.partition}")
        return self._task

    async def stop(self, timeout_s: float) -> bool:
        """End after the transaction that is under way. True when the state is still the fold of the changelog."""
        self._stopping = True
        if self._task is None:
            return False
        if self._waiting is not None:
            self._waiting.cancel()
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if not done:
            # The broker does not answer, and how the transaction ends is not known.
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=timeout_s)
            return False
        return not self._task.cancelled() and self._task.exception() is None

    async def _run(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            client_id=f"{self._settings.app}-dispatch-{self.partition}",
            transactional_id=self._settings.transactional_id(self.partition),
            transaction_timeout_ms=self._settings.transaction_timeout_ms,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            # The broker answers the first produce of a transaction with a retriable error while it settles the last one:
            # with the default of 100 ms, that is the p99 of a cycle.
            retry_backoff_ms=5,
            **self._security,
        )
        try:
            await producer.start()
            timers = await self._restore()
            self._tell_open()
            opened = self.restored.state.open.items()
            self._cancelled |= {key for key, found in opened if self._is_cancelled(found.state.tenant, found.state.request_id)}
            cycle = Cycle(
                self.partition,
                self.restored.state,
                timers,
                serde=self._serde,
                policy=self._policy,
                prices=self._prices,
                landed=Recent(monotonic, entries=_LANDED, max_bytes=_LANDED_BYTES, max_age_s=_LANDED_S),
                cancelled=self._is_cancelled,
            )
            cycle.providers = await self._providers()
            while not self._stopping:
                if cycle.providers_missed and monotonic() >= self._look_again_at:
                    cycle.providers, cycle.providers_missed = await self._providers(), False
                await self._advance(producer, cycle, timers)
            if not self._folded.empty:
                await self._commit(producer, cycle)
        finally:
            metrics.lane_left(self.partition)
            await _close(producer)

    async def _restore(self) -> Timers:
        """Rebuild the state, seek the inputs to what it was folded from."""
        begin = clock.now()
        read = await catch_up(
            self.restored,
            self.partition,
            serde=self._serde,
            bootstrap_servers=str(self._settings.bootstrap_servers),
            client_id=f"{self._settings.app}-dispatch-{self.partition}-restore",
            security=self._security,
        )
        for tp in (self._routed, self._attempts):
            if (position := self.restored.state.positions.get(tp.topic)) is None:
                await self._consumer.seek_to_beginning(tp)
            else:
                self._consumer.seek(tp, position)
        timers = Timers()
        timers.set_all(timers_of(self.restored.state))
        state = self.restored.state
        log.info(
            "lane_restored",
            partition=self.partition,
            changelog_records=read,
            open_requests=len(state.open),
            open_calls=len(state.calls),
            took_ms=round((clock.now() - begin).total_seconds() * 1000),
        )
        return timers

    async def _providers(self) -> frozenset[str]:
        self._look_again_at = monotonic() + _LOOK_AGAIN_S
        prefix = topics.CALLS_PREFIX
        return frozenset(name.removeprefix(prefix) for name in await self._consumer.topics() if name.startswith(prefix))

    async def _advance(self, producer: AIOKafkaProducer, cycle: Cycle, timers: Timers) -> None:
        """Take what has arrived and what is due, fold it, and commit when somebody waits for it."""
        if self._busy and self._polls == 0:
            await self._pause(self._committed_at + _GATHER_S - monotonic())
        arrived = await self._arrivals(self._wait_s(timers))
        if self._stopping:
            return
        await self._newcomers.meet(record.value for records in arrived.values() for record in records)
        self._polls += 1
        now = self._clock.now()
        due_until = await self._due_until(timers, cycle, now)
        advice, self._advice = self._advice, {}
        for deployment, down in advice.items():
            cycle.advise(self._folded, deployment, down=down, now=now)
        cancelled, self._cancelled = self._cancelled, set()
        cycle.cancel(self._folded, sorted(cancelled), now=now)
        cycle.fold(self._folded, arrived.get(self._routed, ()), arrived.get(self._attempts, ()), now=now, due_until=due_until)
        if self._folded.empty:
            return
        if self._folded_since is None:
            self._folded_since = monotonic()
        # The first poll after a transaction finds what was fetched before it; the second, all that has gathered since.
        gathered = not self._busy or self._polls > 1 or not arrived
        if gathered and monotonic() >= self._commit_at():
            faults.point("K2")
            await self._commit(producer, cycle)
            faults.point("K4")

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the lane is told to stop."""
        if seconds > 0 and not self._stopping:
            self._waiting = asyncio.ensure_future(asyncio.sleep(seconds))
            await asyncio.wait({self._waiting})
            self._waiting = None

    async def _arrivals(self, wait_s: float) -> Mapping[TopicPartition, list[ConsumerRecord]]:
        """What is there, or comes within `wait_s`; nothing when the lane is told to stop meanwhile."""
        milliseconds = int(wait_s * 1000) + (wait_s > 0)
        self._waiting = asyncio.ensure_future(self._consumer.getmany(self._routed, self._attempts, timeout_ms=milliseconds))
        try:
            arrived: Mapping[TopicPartition, list[ConsumerRecord]] = await self._waiting
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return {}
        finally:
            self._waiting = None
        return arrived

    def _wait_s(self, timers: Timers) -> float:
        next_timer_s = timers.seconds_to_next(self._clock.now())
        wait_s = _IDLE_S if next_timer_s is None else min(next_timer_s, _IDLE_S)
        if self._barrier is not None:
            wait_s = _BARRIER_WAIT_S
        if self._cancelled:
            wait_s = 0.0
        if not self._folded.empty:
            wait_s = min(wait_s, max(self._commit_at() - monotonic(), _SECOND_POLL_S if self._busy else 0.0))
        return max(wait_s, 0.0)

    def _commit_at(self) -> float:
        """When what is folded goes out, on the monotonic clock.

        At once when somebody waits for it; but under load not sooner than a moment after the last transaction, for one costs
        the broker the same be it small or large.
        """
        if self._folded.speaks:
            return self._committed_at + (_GATHER_S if self._busy else 0.0)
        return (self._folded_since or 0.0) + _QUIET_S

    async def _due_until(self, timers: Timers, cycle: Cycle, now: datetime) -> datetime | None:
        """Up to when timers may fire: None while reports that were in the log by then are still unread.

        After an outage of ours the answer to a request, or the end of a call, may stand in the log behind us while its
        deadline has passed, or a report of what we are about to forget. What the log knows comes before what the clock says.
        """
        if self._barrier is None:
            if timers.seconds_to_next(now) != 0.0 and not cycle.sweep_due(now):
                return None
            end = (await self._consumer.end_offsets([self._attempts]))[self._attempts]
            self._barrier = (now, end)
        as_of, offset = self._barrier
        if await self._consumer.position(self._attempts) < offset:
            return None
        self._barrier = None
        return as_of

    async def _commit(self, producer: AIOKafkaProducer, cycle: Cycle) -> None:
        """Commit within the time that the broker gives a transaction: aiokafka would wait for ever for a topic that is gone.

        Time in which this process stood still does not count: the broker then has an answer, and it says more. Raises
        KafkaTimeoutError.
        """
        timeout_s = self._settings.transaction_timeout_ms / 1000
        transaction = asyncio.ensure_future(self._transact(producer, cycle))
        try:
            begun_s = monotonic()
            while not (await asyncio.wait({transaction}, timeout=timeout_s))[0]:
                if monotonic() - begun_s < timeout_s + _STOOD_STILL_S:
                    raise KafkaTimeoutError(f"lane {self.partition}: the broker did not take a transaction in {timeout_s:g} s")
                begun_s = monotonic()
            transaction.result()
        finally:
            if not transaction.done():
                transaction.cancel()
                await asyncio.wait({transaction})

    async def _transact(self, producer: AIOKafkaProducer, cycle: Cycle) -> None:
        """One transaction: everything folded, and in the changelog how far the inputs were read."""
        folded, self._folded, self._folded_since = self._folded, Folded(), None
        await producer.begin_transaction()
        by_partition: dict[TopicPartition, list[Outgoing]] = {}
        for record in cycle.outgoing(folded):
            tp = TopicPartition(record.topic, await self._partition_of(producer, record))
            by_partition.setdefault(tp, []).append(record)
        acknowledged: dict[TopicPartition, list[asyncio.Future[Any]]] = {}
        for tp, group in by_partition.items():
            try:
                acknowledged[tp] = await send_group(producer, tp, group)
            except IllegalOperation:
                # The broker has refused a partition of this transaction meanwhile: a commit raises what it said.
                await producer.commit_transaction()
                raise
        for futures in acknowledged.values():
            await asyncio.gather(*futures)
        commit = asyncio.ensure_future(producer.commit_transaction())
        if faults.is_armed("K3"):
            await asyncio.sleep(_K3_DELAY_S)
            faults.point("K3")
        await commit
        self.committed = {TopicPartition(topic, self.partition): at for topic, at in self.restored.state.positions.items()}
        if changelog := acknowledged.get(TopicPartition(topics.CHANGELOG, self.partition)):
            written = [(record.key, record.value) for record in by_partition[TopicPartition(topics.CHANGELOG, self.partition)]]
            self.restored.committed(written, next_offset=changelog[-1].result().offset)
        self._tell(folded)
        self._busy, self._committed_at, self._polls = folded.events >= _BUSY_EVENTS, monotonic(), 0

    def _tell(self, folded: Folded) -> None:
        metrics.committed(folded.records)
        self._tell_open()

    def _tell_open(self) -> None:
        state = self.restored.state
        metrics.lane_is(self.partition, open_requests=len(state.open), parked=len(state.parked), open_calls=len(state.calls))

    async def _partition_of(self, producer: AIOKafkaProducer, record: Outgoing) -> int:
        if record.partition is not None:
            return record.partition
        if (count := self._counts.get(record.topic)) is None:
            count = self._counts[record.topic] = len(await producer.partitions_for(record.topic))
        return partition_of(record.key, count)


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop the producer, but do not wait for a broker that is away: nothing of an open transaction may be kept."""
    try:
        await asyncio.wait_for(producer.stop(), timeout=5.0)
    except (TimeoutError, asyncio.CancelledError):
        log.warning("producer_abandoned", client_id=producer.client._client_id)  # noqa: SLF001 - for the log alone
