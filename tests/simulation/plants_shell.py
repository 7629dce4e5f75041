"""Planted bugs of the shells: offsets, fencing, restore, transactions."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from processors.dispatch.policy import DispatchPolicy
from processors.dispatch.state import PutTotal
from schemas.outcomes import InferenceResponse
from streams import topics
from streams.dispatcher.changelog import Changelog
from streams.dispatcher.cycle import Cycle
from streams.dispatcher.restore import Restored
from streams.faust_host.offsets import PartitionOffsets
from tests.simulation.group import Group
from tests.simulation.intake import Intake
from tests.simulation.lane import Lane, Member
from tests.simulation.play import Parts
from tests.simulation.worker import Workers
from tests.simulation.world import World

# --- offsets and acknowledgements ----------------------------------------------------------------------------------------


class PassesTheGap(PartitionOffsets):
    """Commits behind the last record that is done, whatever is still in work before it."""

    __slots__ = ()

    def committable(self) -> int | None:
        sound = super().committable()
        return max(self._done) + 1 if self._done else sound


class HastyIntake(Intake):
    """Acknowledges a request before its routed record is written."""

    def take(self) -> bool:
        taken = super().take()
        if taken:
            self._book.finish(self._held[-1][0], self)
            self._committed = (self._book.committable() or 0, self._book.done)
        return taken


class HastyWorkers(Workers):
    """Acknowledges an order when it is taken."""

    def take(self) -> bool:
        taken = super().take()
        if taken:
            task = self.tasks[-1]
            task.book.finish(task.offset, task.book)
            self._committed = (self._book.committable() or 0, self._book.done)
        return taken


# --- the dispatcher's shell ----------------------------------------------------------------------------------------------


class UnfencedLane(Lane):
    """Nobody is fenced: the coordinator lets every producer commit."""

    def prepare(self) -> None:
        self.world.broker.end_transaction(self.partition)
        self.epoch = self.world.broker.start_producer(self.partition)
        super().prepare()


class ImpatientLane(Lane):
    """Timers fire by the clock alone."""

    def due_until(self, now: datetime) -> datetime | None:
        return now


class LostPlaceLane(Lane):
    """Reads its inputs from their beginning after every restore."""

    def next_offset(self, topic: str) -> int:
        return 0


class EagerPlaceLane(Lane):
    """Keeps its place in the inputs outside of the transaction, as soon as they are read."""

    def next_offset(self, topic: str) -> int:
        return max(super().next_offset(topic), self.world.outside.get((self.partition, topic), 0))

    def fold(self, routed: int, reported: int) -> bool:
        busy = super().fold(routed, reported)
        for topic, position in self.position.items():
            self.world.outside[self.partition, topic] = position
        return busy


class ForgetfulTimersLane(Lane):
    """Sets no timers after a restore."""

    def timers_of(self, state: Any) -> list[Any]:
        return []


class DirtyReadLane(Lane):
    """Restores from everything that was written, aborted transactions as well."""

    def restore(self) -> None:
        log = self.world.broker.log(topics.CHANGELOG, self.partition)
        changelog = self.changelog_class(self.world.serde)
        for record in log.records[self.restored.next_offset :]:
            if record is not None:
                changelog.apply(self.restored.state, record.key, record.value)
        self.restored.next_offset = log.end


class TrustingGroup(Group):
    """After a commit whose end is not known, the lane goes on as if it stood."""

    def after_unsure(self, lane: Lane) -> None:
        lane.prepared = None
        lane.epoch = self.world.broker.start_producer(lane.partition)


class RepeatingGroup(Group):
    """After a commit whose end is not known, the lane writes the same again."""

    def after_unsure(self, lane: Lane) -> None:
        transaction, lane.prepared = lane.prepared, None
        lane.epoch = self.world.broker.start_producer(lane.partition)
        if transaction is not None:
            self.world.broker.commit(self.world.broker.prepare(lane.partition, lane.epoch, transaction.records))


class HoardingGroup(Group):
    """Keeps the state of a lane that ended with an error, and begins its next one with it."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hoard: dict[tuple[int, str], Restored] = {}

    def fenced(self, lane: Lane) -> None:
        self._hoard[lane.partition, lane.who] = lane.restored
        super().fenced(lane)

    def _start(self, partition: int, member: Member, kept: Restored | None = None) -> Lane:
        return super()._start(partition, member, kept or self._hoard.pop((partition, member.name), None))


# --- the cycle and its changelog -----------------------------------------------------------------------------------------


class FirstOfEachKey(Changelog):
    """Keeps the first change of a key in a transaction, not the last."""

    def encode(self, changes: Any, values: Any) -> list[tuple[str, bytes | None]]:
        return super().encode(reversed(list(changes)), values)


class AmnesicChangelog(Changelog):
    """Forgets finished requests at a restore."""

    def apply(self, state: Any, key: str, value: bytes | None) -> None:
        super().apply(state, key, value)
        if key.startswith("request/"):
            state.finished.pop(key.removeprefix("request/"), None)


class FirstOfEachKeyCycle(Cycle):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changelog = FirstOfEachKey(self._serde)


class NoTotalsOfLostCycle(Cycle):
    """Publishes the totals of a transaction only when it answers somebody."""

    def outgoing(self, folded: Any) -> Any:
        outgoing = super().outgoing(folded)
        if any(isinstance(record, InferenceResponse) for record in folded.records):
            return outgoing
        return [out for out in outgoing if out.topic != topics.COST_TOTALS]


class IncrementCycle(Cycle):
    """Publishes what a transaction adds to a total, not the total."""

    def fold(self, folded: Any, *args: Any, **options: Any) -> None:
        if folded.empty:
            self._before = dict(self._state.totals)
        super().fold(folded, *args, **options)

    def outgoing(self, folded: Any) -> Any:
        changes = [self._increment(change) if isinstance(change, PutTotal) else change for change in folded.changes]
        return super().outgoing(replace(folded, changes=changes))

    def _increment(self, change: PutTotal) -> PutTotal:
        before = self._before.get(change.key)
        if before is None:
            return change
        spent = change.total.cost_nanousd - before.cost_nanousd
        return PutTotal(change.key, replace(change.total, calls=change.total.calls - before.calls, cost_nanousd=spent))


class ForgetfulCycle(Cycle):
    """Remembers a finished request for a second."""

    def __init__(self, *args: Any, policy: DispatchPolicy, **options: Any) -> None:
        super().__init__(*args, policy=replace(policy, dedupe_horizon=timedelta(seconds=1)), **options)


def with_lane(lane_class: type[Lane], **more: Any) -> Parts:
    return Parts(group=type(f"With{lane_class.__name__}", (Group,), {"lane_class": lane_class, **more}))


def with_cycle(cycle: type[Cycle]) -> Parts:
    return with_lane(type(f"LaneWith{cycle.__name__}", (Lane,), {"cycle_class": cycle}))
