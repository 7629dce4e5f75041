"""The role `dispatch`: a member of the dispatcher's consumer group, one lane a partition it is assigned.

Only the assignment starts a lane, and with it a transactional producer. A lane that fails, fenced or unsure how a commit
ended, takes the whole membership down: states are dropped, the group is left, and joined again after a pause. A fenced one first
hears what the group says: if its partition was given away, the new assignment takes its place.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from aiokafka import ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError, KafkaTimeoutError, ProducerFenced
from aiokafka.structs import TopicPartition

from processors.cost.prices import PriceBook
from processors.dispatch.policy import DispatchPolicy
from streams import topics
from streams.agents.health_view import HealthView
from streams.cancellations import Cancellations
from streams.dispatcher.advice import Advice
from streams.dispatcher.lane import Lane
from streams.dispatcher.restore import Restored
from streams.group_consumer import group_consumer, heartbeat_ms
from streams.leaving import leave
from streams.prices import load_prices
from streams.runtime import Runtime
from streams.settings import Settings
from streams.stores.state_dir import LaneStores, state_slot

log = structlog.get_logger(__name__)

_REJOIN_FIRST_S = 0.2
_REJOIN_CAP_S = 5.0
_PROGRESS_S = 1.0
"""How often the group's offsets follow the lanes. They are for whoever watches the lag: a lane goes by its changelog."""
_GROUP_SAYS_S = 0.5
"""A fenced lane has another owner, mostly, and the group tells us so with our next heartbeat: leaving as well would make it share
the lanes out once more. So long after that heartbeat it was our transaction that has timed out, and nobody else moves."""
_QUIET_S = 30.0
"""A membership that lasted this long starts again without the longer pause."""


async def run(runtime: Runtime, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Dispatch until `stop`. Errors of Kafka end a membership, not the process; any other error ends the process."""
    root, advice = runtime.settings.state_root("dispatch"), Advice()
    with state_slot(root) as directory, closing(LaneStores(directory, runtime.serde)) as stores:
        # A dispatcher that starts owes answers: it does not wait for advice.
        cancellations = Cancellations(runtime)
        async with HealthView(runtime).following(at_once=True) as health, cancellations.following():
            health.on_circuit(advice.tell)
            cancellations.on_cancelled(advice.cancel)
            await _stay(runtime, stores, _News(advice, cancellations), stop, ready)


async def _stay(runtime: Runtime, stores: LaneStores, news: "_News", stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """One membership after the other."""
    pause_s, loop = _REJOIN_FIRST_S, asyncio.get_running_loop()
    prices = load_prices(runtime.settings, runtime.catalogue)
    while not stop.is_set():
        joined_at = loop.time()
        try:
            await _Membership(runtime, prices, stores, news).run(stop, ready)
        except KafkaError as error:
            log.warning("dispatcher_rejoins", error=repr(error), pause_s=pause_s)
            if loop.time() - joined_at > _QUIET_S:
                pause_s = _REJOIN_FIRST_S
            await _sleep_unless(stop, pause_s)
            pause_s = min(pause_s * 2, _REJOIN_CAP_S)


def policy_of(settings: Settings) -> DispatchPolicy:
    """The dispatcher's policy as the settings have it."""
    return DispatchPolicy(
        max_attempts=settings.max_attempts,
        retry_base_s=settings.retry_base_s,
        retry_cap_s=settings.retry_cap_s,
        retry_indeterminate=settings.retry_indeterminate,
        dedupe_horizon=timedelta(seconds=settings.dedupe_horizon_s),
    )


@dataclass(frozen=True, slots=True)
class _News:
    """What a membership hears from outside its partitions."""

    advice: Advice
    cancellations: Cancellations


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """One stay in the consumer group."""

    def __init__(self, runtime: Runtime, prices: PriceBook, stores: LaneStores, news: "_News") -> None:
        self._runtime, self._prices, self._stores = runtime, prices, stores
        self._advice, self._cancellations = news.advice, news.cancellations
        self._cluster = ""
        settings = runtime.settings
        self._security = settings.kafka_security()
        self._heartbeat_ms = heartbeat_ms(settings)
        # Ranges give the same partition numbers of both topics to the same member.
        strategy = [RangePartitionAssignor]
        self._consumer = group_consumer(
            runtime, "dispatch", client_id=f"{runtime.settings.app}-dispatch", partition_assignment_strategy=strategy
        )
        self._lanes: dict[int, Lane] = {}
        self._kept: dict[int, Restored] = {}
        self._failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._fenced: list[asyncio.TimerHandle] = []
        self._assigned = asyncio.Event()
        self._progress: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        """The group's offsets as this membership last published them."""

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        self._cluster = await _cluster_id(self._runtime)
        await self._consumer.start()
        told: asyncio.Future[object] = asyncio.ensure_future(stop.wait())
        progress = asyncio.create_task(self._tell_progress(), name="progress")
        try:
            self._consumer.subscribe([topics.ROUTED, topics.ATTEMPTS], listener=self)
            assigned: asyncio.Future[object] = asyncio.ensure_future(self._assigned.wait())
            await asyncio.wait({assigned, told, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            assigned.cancel()
            if self._assigned.is_set():
                ready()
            await asyncio.wait({told, self._failed}, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
        finally:
            told.cancel()
            self._failed.cancel()
            progress.cancel()
            await self._stop_lanes()
            await self._commit_progress()
            await leave(self._consumer)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all lanes end at every rebalance
        """End every lane after its transaction. Its state is kept: whatever another member adds to it is in the changelog."""
        for doubt in self._fenced:
            doubt.cancel()
        self._fenced.clear()
        await self._stop_lanes()
        await self._commit_progress()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        partitions = sorted({tp.partition for tp in assigned})
        log.info("lanes_assigned", partitions=partitions)
        for partition in partitions:
            lane = Lane(
                partition,
                consumer=self._consumer,
                restored=self._kept.pop(partition) if partition in self._kept else self._from_store(partition),
                settings=self._runtime.settings,
                serde=self._runtime.serde,
                policy=policy_of(self._runtime.settings),
                prices=self._prices,
                security=self._security,
                cancelled=self._cancellations.include,
            )
            self._lanes[partition] = lane
            self._advice.add(lane)
            lane.start().add_done_callback(partial(self._lane_ended, lane))
        self._assigned.set()

    def _from_store(self, partition: int) -> Restored:
        return Restored.from_store(self._stores.of(partition, identity=f"{self._cluster} {topics.CHANGELOG}-{partition}"))

    async def _stop_lanes(self) -> None:
        timeout_s = self._runtime.settings.session_timeout_ms / 2000
        lanes, self._lanes = self._lanes, {}
        self._advice.remove(lanes.values())
        intact = await asyncio.gather(*(lane.stop(timeout_s) for lane in lanes.values()))
        self._note_progress(lanes.values())
        self._kept = {lane.partition: lane.restored for lane, kept in zip(lanes.values(), intact, strict=True) if kept}

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            self._note_progress(self._lanes.values())
            await self._commit_progress()

    def _note_progress(self, lanes: Iterable[Lane]) -> None:
        self._progress |= {tp: at for lane in lanes for tp, at in lane.committed.items()}

    async def _commit_progress(self) -> None:
        """Publish the lanes' positions as the group's offsets, where they have changed."""
        news, self._progress = {tp: at for tp, at in self._progress.items() if self._told.get(tp) != at}, {}
        if not news:
            return
        try:
            async with asyncio.timeout(_PROGRESS_S):
                await self._consumer.commit(news)
        except (KafkaError, TimeoutError) as error:
            # The group has moved on or the broker is away: nothing depends on these, and the next owner tells its own.
            log.info("progress_not_published", error=repr(error))
        else:
            self._told.update(news)

    def _lane_ended(self, lane: Lane, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or self._failed.done() or (error := task.exception()) is None:
            return
        log.error("lane_failed", lane=task.get_name(), error=repr(error))
        if self._lanes.get(lane.partition) is not lane and isinstance(error, KafkaError):
            return  # the group has taken it away already, and says who has it now
        if isinstance(error, ProducerFenced | KafkaTimeoutError):
            wait_s = self._heartbeat_ms / 1000 + _GROUP_SAYS_S
            self._fenced.append(asyncio.get_running_loop().call_later(wait_s, self._fail, error))
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)


async def _cluster_id(runtime: Runtime) -> str:
    admin = AIOKafkaAdminClient(bootstrap_servers=runtime.bootstrap_servers, **runtime.settings.kafka_security())
    await admin.start()
    try:
        return str((await admin.describe_cluster())["cluster_id"])
    finally:
        await admin.close()


async def _sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), timeout=seconds)
    except TimeoutError:
        pass
