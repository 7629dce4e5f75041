"""Runs a schedule: its steps, then the end of all faults, then time until everything is settled, then the verdict."""

from dataclasses import dataclass

from streams import topics
from tests.simulation.group import Group
from tests.simulation.intake import Intake
from tests.simulation.oracle import judge
from tests.simulation.replay import judge_replay
from tests.simulation.schedule import Schedule, Step
from tests.simulation.worker import Workers
from tests.simulation.world import CANDIDATES, PROVIDERS, SECOND, World, key_of

WAITS_US = (1_000, 50_000, 300_000, 300_000, 1_000_000, 1_000_000, 3_000_000, 12_000_000)
LONG_WAITS_US = (40 * SECOND, 100 * SECOND, 300 * SECOND, 1_000 * SECOND)
MAX_ROUNDS = 2_000
"""Beyond that a run counts as one that never settles."""
LATE_US = 2 * SECOND
"""How long after its deadline a request may be open while everything is served at once."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of. A planted bug replaces one of them."""

    group: type[Group] = Group
    intake: type[Intake] = Intake
    workers: type[Workers] = Workers


class Run:
    """One run of one schedule."""

    def __init__(self, schedule: Schedule, parts: Parts, *, telling: bool = False, recording: bool = False) -> None:
        self.schedule = schedule
        self.world = World(schedule, telling=telling, recording=recording)
        plans = {key_of(plan): plan for plan in schedule.requests}
        self.intake = parts.intake(self.world)
        self.group = parts.group(self.world)
        self.workers = [parts.workers(self.world, name, plans) for name in PROVIDERS]
        self._steps = {
            "publish": self._publish,
            "again": lambda s: self._publish_again(s, body=0),
            "conflict": lambda s: self._publish_again(s, body=1),
            "poison": self._poison,
            "intake": self._intake,
            "intake_crash": lambda s: self.intake.crash(),
            "fold": lambda s: self.group.fold(self._partition(s), s.b),
            "commit": lambda s: self.group.commit(self._partition(s)),
            "cycle": self._cycle,
            "lane_crash": lambda s: self.group.crash(self._partition(s), s.b),
            "unsure": lambda s: self.group.unsure(self._partition(s), s.b),
            "stall": lambda s: self.group.stall(self._partition(s)),
            "steal": lambda s: self.group.steal(self._partition(s), s.b),
            "zombie": lambda s: self.group.zombie(s.b),
            "move": lambda s: self.group.move(self._partition(s), s.b),
            "end_transaction": self._end_transaction,
            "take": lambda s: self.workers[s.a % 2].take() or self.workers[1 - s.a % 2].take(),
            "work": self._work,
            "worker_crash": lambda s: self.workers[s.a % 2].crash(),
            "worker_move": lambda s: self.workers[s.a % 2].move(),
            "worker_stop": lambda s: self.workers[s.a % 2].stop(s.b),
            "outage": self._outage,
            "advise": self._advise,
            "cancel": self._cancel,
            "clock": lambda s: self.group.set_clock(s.b),
            "wait": lambda s: self._wait(WAITS_US[s.b % len(WAITS_US)]),
            "long_wait": lambda s: self._wait(LONG_WAITS_US[s.b % len(LONG_WAITS_US)]),
        }
        self._published: list[int] = []

    def run(self) -> World:
        for step in self.schedule.steps:
            self._steps[step.kind](step)
            self.world.now += 2_000
        self._heal()
        self._settle()
        judge(self.world)
        judge_replay(self.world)
        return self.world

    # --- steps -----------------------------------------------------------------------------------------------------------

    def _partition(self, step: Step) -> int:
        return step.a % self.schedule.partitions

    def _publish(self, step: Step) -> None:
        """A new request; intake serves it at once, most often."""
        if len(self._published) < len(self.schedule.requests):
            number = len(self._published)
            self._published.append(number)
            self.intake.publish(self.schedule.requests[number], 0)
            if step.b % 4:
                self.intake.take()
                self.intake.work(step.a)

    def _publish_again(self, step: Step, *, body: int) -> None:
        if self._published:
            number = self._published[step.a % len(self._published)]
            self.intake.publish(self.schedule.requests[number], body)
            if step.b % 2:
                self.intake.take()
                self.intake.work(step.a)

    def _poison(self, step: Step) -> None:
        topic = (topics.ROUTED, topics.ATTEMPTS)[step.b % 2]
        self.world.broker.append(topic, self._partition(step), b"acme", b"poison")
        self.world.count["poisoned record"] += 1
        self.world.say(lambda: f"somebody  writes rubbish to {topic}[{self._partition(step)}]")

    def _intake(self, step: Step) -> None:
        if not self.intake.take() or step.a % 2:
            self.intake.work(step.b)

    def _cycle(self, step: Step) -> None:
        """A cycle as it is without trouble: take, fold, commit."""
        self.group.fold(self._partition(step), step.b)
        self.group.commit(self._partition(step))

    def _end_transaction(self, step: Step) -> None:
        if self.world.broker.end_transaction(self._partition(step)):
            self.world.count["transaction timed out"] += 1
            self.world.say(lambda: f"broker    aborts the open transaction of partition {self._partition(step)}")

    def _work(self, step: Step) -> None:
        workers = [workers for workers in self.workers if workers.tasks]
        if workers:
            workers[step.a % len(workers)].work(step.a // 2, step.b)

    def _outage(self, step: Step) -> None:
        down = (("openai",), ("anthropic",), PROVIDERS, ())[step.b % 4]
        self.world.out = set(down)
        self.world.count["outage of all" if len(down) == 2 else "outage of one" if down else "outage ends"] += 1
        self.world.say(lambda: f"providers out: {', '.join(down) or 'none'}")

    def _advise(self, step: Step) -> None:
        deployment = CANDIDATES[step.b % len(CANDIDATES)].deployment
        self.group.advise(self._partition(step), deployment, down=step.b // 8 % 3 > 0)

    def _cancel(self, step: Step) -> None:
        """A sender changes his mind: some hear of it now, the others later."""
        if not self._published:
            return
        key = key_of(self.schedule.requests[self._published[step.a % len(self._published)]])
        if key not in self.world.cancelled:
            self.world.cancelled.append(key)
            self.world.count["cancelled by the sender"] += 1
            self.world.say(lambda: f"sender    cancels {'/'.join(key)}")
        if step.b % 4:
            self.group.tell_cancelled()
        if step.b // 4 % 3:
            for workers in self.workers:
                workers.withdraw(key, step.b // 16)

    def _wait(self, microseconds: int) -> None:
        self.world.now += microseconds

    # --- the end ---------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        world = self.world
        world.faulty = False
        world.out = set(PROVIDERS) if self.schedule.dead_end else set()
        world.say(lambda: "------    the faults end")
        self.group.heal()

    def _settle(self) -> None:
        """Serve everybody at once, and let time jump to the next timer, until nothing is open anywhere."""
        world = self.world
        for _ in range(MAX_ROUNDS):
            self._serve()
            self._overdue()
            if world.problems:
                return
            lanes = [self.group.lane(partition) for partition in range(world.partitions)]
            if all(lane.settled() for lane in lanes):
                for lane in lanes:
                    lane.compare("the live state at the end")
                return
            now = world.tell_dispatcher(world.now)
            waits = [wait for lane in lanes if (wait := lane.timers.seconds_to_next(now)) is not None]
            world.now += max(int(min(waits, default=1.0) * SECOND), 1_000)
        world.problem(f"I1: not settled after {MAX_ROUNDS} rounds")

    def _serve(self) -> None:
        """Everybody takes and finishes whatever is there, until nobody finds more."""
        busy = True
        while busy:
            busy = False
            while self.intake.take() or self.intake.work(0):
                busy = True
            for partition in range(self.world.partitions):
                self.group.lane(partition)
                while self.group.fold(partition, 4 + 8 * 6):
                    busy = True
                busy |= self.group.commit(partition)
            for workers in self.workers:
                while workers.take():
                    busy = True
                while workers.tasks:
                    busy = True
                    workers.work(0, self.world.now // 1_000 % 7)

    def _overdue(self) -> None:
        """Everything is served: no request may be open beyond its deadline."""
        world = self.world
        answered = world.answered()
        for key, deadline in world.deadlines.items():
            if world.now > deadline + LATE_US and key not in answered:
                world.problem(f"I1: {'/'.join(key)} has no final response, though its deadline has passed and all are served")


def play(schedule: Schedule, parts: Parts | None = None, *, telling: bool = False, recording: bool = False) -> World:
    """The world as it is after the schedule, judged."""
    return Run(schedule, parts or Parts(), telling=telling, recording=recording).run()
