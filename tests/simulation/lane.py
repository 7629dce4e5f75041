"""One lane partition in the hands of one member: the steps of `streams.dispatcher.lane.Lane`, without its event loop.

What decides, folds and encodes is the product's own: `Cycle`, `Timers`, `Changelog`, `Folded`. What stands here is the order of
things: fence, restore, read on from the positions, fold, commit everything in one transaction, and let timers wait for the log.
"""

from datetime import datetime

from processors.dispatch.decide import timers_of
from processors.dispatch.state import LaneState, request_key
from schemas.outcomes import CacheState
from streams import topics
from streams.dispatcher.changelog import Changelog
from streams.dispatcher.cycle import Cycle, Folded
from streams.dispatcher.restore import Restored
from streams.dispatcher.timers import Timers
from tests.simulation.broker import Fenced, Record, Transaction
from tests.simulation.replay import Episode
from tests.simulation.world import PRICES, PROVIDERS, World


class Lane:
    """From fencing to its end. A lane that was fenced, or does not know how its commit ended, is dropped by its member."""

    cycle_class = Cycle
    changelog_class = Changelog

    def __init__(self, world: World, partition: int, member: "Member", kept: Restored | None = None) -> None:
        self.world, self.partition, self.member = world, partition, member
        self.restored = kept or Restored()
        self._kept = kept is not None
        self.timers = Timers()
        self.folded = Folded()
        self.prepared: Transaction | None = None
        self.position: dict[str, int] = {}
        self._routed = world.broker.log(topics.ROUTED, partition)
        self._attempts = world.broker.log(topics.ATTEMPTS, partition)
        self._barrier: tuple[datetime, int] | None = None
        self.episode: Episode | None = None
        self.known_cancelled: set[tuple[str, str]] = set()
        self.start()

    # --- start -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.epoch = self.fence()
        self.restore()
        state = self.restored.state
        self.position = {topic: self.next_offset(topic) for topic in (topics.ROUTED, topics.ATTEMPTS)}
        self.timers.set_all(self.timers_of(state))
        self.cycle = self.cycle_class(
            self.partition,
            state,
            self.timers,
            serde=self.world.serde,
            policy=self.world.schedule.policy,
            prices=PRICES,
            cancelled=lambda tenant, request_id: (tenant, request_id) in self.known_cancelled,
        )
        self.cycle.providers = frozenset(PROVIDERS)
        if self.world.recorded is not None:
            self.episode = Episode.of(self.partition, state, self.world)
            self.world.recorded.append(self.episode)
        self.hear_cancelled()
        self.world.say(
            lambda: (
                f"{self.who:9} owns partition {self.partition} (epoch {self.epoch}): restored to changelog"
                f"@{self.restored.next_offset}, {len(state.open)} open requests, {len(state.calls)} open calls, reads on from"
                f" routed@{self.position[topics.ROUTED]} attempts@{self.position[topics.ATTEMPTS]}"
            )
        )

    @property
    def who(self) -> str:
        return self.member.name

    def fence(self) -> int:
        return self.world.broker.start_producer(self.partition)

    def restore(self) -> None:
        log = self.world.broker.log(topics.CHANGELOG, self.partition)
        changelog = self.changelog_class(self.world.serde)
        compacted = not self._kept and self.epoch % 3 == 0
        for record in log.compacted() if compacted else log.committed(self.restored.next_offset):
            changelog.apply(self.restored.state, record.key, record.value)
        self.restored.next_offset = log.end
        if compacted:
            self.world.count["restored from a compacted changelog"] += 1
        elif self._kept:
            self.world.count["restored from a kept state and the rest"] += 1
            self.compare("a kept state with the rest of the changelog")
        else:
            self.world.count["restored from zero"] += 1

    def next_offset(self, topic: str) -> int:
        return self.restored.state.positions.get(topic, 0)

    def timers_of(self, state: LaneState):
        return timers_of(state)

    # --- a cycle ---------------------------------------------------------------------------------------------------------

    def fold(self, routed: int, reported: int) -> bool:
        """Take up to so many records of each input, fold them and what is due. False when nothing came of it."""
        world = self.world
        requests = self._arrivals(topics.ROUTED, routed)
        reports = self._arrivals(topics.ATTEMPTS, reported)
        now = world.tell_dispatcher(world.now + self.member.offset)
        due_until = self.due_until(now)
        if self.episode is not None:
            self.episode.fold(requests, reports, now, due_until)
        said, events = len(self.folded.records), self.folded.events
        self.cycle.fold(self.folded, requests, reports, now=now, due_until=due_until)
        if self.restored.state.parked:
            world.count["folded with parked requests"] += 1
        if any(circuit.open_until for circuit in self.restored.state.circuits.values()):
            world.count["folded with an open circuit"] += 1
        if self.folded.events > events:
            world.say(
                lambda: (
                    f"{self.who:9} folds {len(requests)} routed, {len(reports)} reports"
                    f"{' and what is due' if due_until else ''} at clock {now:%H:%M:%S.%f}: "
                    f"{[describe(record) for record in self.folded.records[said:]]}"
                )
            )
        return bool(self.folded.events > events or requests or reports)

    def advise(self, deployment: str, *, down: bool) -> None:
        """The fleet's word on a deployment."""
        now = self.world.tell_dispatcher(self.world.now + self.member.offset)
        if self.episode is not None:
            self.episode.advise(deployment, now, down=down)
        self.cycle.advise(self.folded, deployment, down=down, now=now)

    def hear_cancelled(self) -> None:
        """What senders have cancelled until now: what is open here is answered so, what comes later is not let in."""
        news = [key for key in self.world.cancelled if key not in self.known_cancelled]
        if not news:
            return
        now = self.world.tell_dispatcher(self.world.now + self.member.offset)
        self.known_cancelled.update(news)
        if self.episode is not None:
            self.episode.cancel(news, now)
        said = len(self.folded.records)
        self.cycle.cancel(self.folded, [request_key(*key) for key in news], now=now)
        self.world.count["open request cancelled"] += len(self.folded.records) - said
        self.world.say(lambda: f"{self.who:9} hears of {news}: {[describe(record) for record in self.folded.records[said:]]}")

    def _arrivals(self, topic: str, most: int) -> list[Record]:
        log, position = (self._routed if topic is topics.ROUTED else self._attempts), self.position[topic]
        arrived = [record for record in log.records[position : position + most] if record is not None]
        self.position[topic] = position + len(arrived)
        return arrived

    def due_until(self, now: datetime) -> datetime | None:
        """As `Lane._due_until`: up to when timers may fire; None while reports that were in the log by then are unread."""
        if self._barrier is None:
            if self.timers.seconds_to_next(now) != 0.0 and not self.cycle.sweep_due(now):
                return None
            self._barrier = (now, self._attempts.end)
        as_of, offset = self._barrier
        if self.position[topics.ATTEMPTS] < offset:
            self.world.count["timers waited for the log"] += 1
            return None
        self._barrier = None
        return as_of

    # --- its transaction -------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Write a transaction's records. Raises Fenced."""
        outgoing = self.cycle.outgoing(self.folded)
        if self.episode is not None:
            self.episode.commit(outgoing)
        self.prepared = self.world.broker.prepare(self.partition, self.epoch, outgoing)
        self.folded = Folded()

    def commit(self) -> bool:
        """Commit what is prepared, or else what is folded. False when there is nothing. Raises Fenced."""
        if self.prepared is None:
            if self.folded.empty:
                return False
            self.prepare()
        transaction = self.prepared
        assert transaction is not None
        self.world.broker.commit(transaction)
        self.prepared = None
        changelog = [record.offset for record in transaction.records if record.topic == topics.CHANGELOG]
        if changelog:
            self.restored.next_offset = max(self.restored.next_offset, changelog[-1])
        self.world.say(lambda: f"{self.who:9} commits {len(transaction.records)} records of partition {self.partition}")
        return True

    def stop(self) -> Restored | None:
        """End after the transaction under way. The state, when it is still the fold of the changelog."""
        try:
            self.commit()
        except Fenced:
            self.world.count["commit fenced"] += 1
            return None
        return self.restored

    # --- checks ----------------------------------------------------------------------------------------------------------

    def settled(self) -> bool:
        """Whether nothing waits here: no input unread, nothing uncommitted, no request and no call open."""
        state = self.restored.state
        unread = self.position[topics.ROUTED] < self._routed.end or self.position[topics.ATTEMPTS] < self._attempts.end
        return not (unread or self.prepared or not self.folded.empty or state.open or state.calls)

    def compare(self, what: str) -> None:
        """The state must be what anybody would rebuild from the changelog, from its beginning."""
        rebuilt, changelog = LaneState(), self.changelog_class(self.world.serde)
        for record in self.world.broker.log(topics.CHANGELOG, self.partition).committed():
            changelog.apply(rebuilt, record.key, record.value)
        for part in LaneState.__slots__:
            if getattr(rebuilt, part) != getattr(self.restored.state, part):
                self.world.problem(
                    f"state: {what} differs from the fold of the changelog in `{part}` (partition {self.partition})"
                )


class Member:
    """A member of the dispatcher's group. `offset`: how wrong its clock is, in microseconds."""

    __slots__ = ("name", "offset")

    def __init__(self, name: str) -> None:
        self.name = name
        self.offset = 0


def describe(record) -> str:
    """A record in a few words."""
    name = type(record).__name__
    if name == "CallOrdered":
        hedge = ", a hedge" * record.hedge
        return f"order {record.tenant}/{record.request_id}#{record.attempt} at {record.deployment}{hedge}"
    if name == "InferenceResponse":
        final = "final" if record.final else "notice"
        shared = f", the answer of {record.served_by}" if record.cache is CacheState.SHARED else ""
        return f"{final} {record.tenant}/{record.request_id} {record.status.value}{shared}"
    estimated, wasted = " estimated" * record.estimated, " wasted" * record.wasted
    return f"cost of {record.call_id or record.event_id}{estimated}{wasted} {record.cost_nanousd}"
