"""Workers of one provider: a group, one member owns the orders. At least once, each call under a fresh id."""

from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum

from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, CallOrdered, CallReported, Failure, FailureKind
from streams import topics
from streams.faust_host.offsets import PartitionOffsets
from streams.publisher import REQUEST_TIMEOUT_MS
from streams.workers import reports
from tests.simulation import provider
from tests.simulation.broker import Record
from tests.simulation.provider import Answer
from tests.simulation.schedule import Plan
from tests.simulation.world import SECOND, World, at

GRACE_S = 10.0
GIVES_UP = timedelta(milliseconds=2 * REQUEST_TIMEOUT_MS)
"""A worker whose report the broker has not acknowledged by then has ended: the publisher gives up after half of it."""
LATE_S = (0, 0, 0, 1, 5, 21, 40, 90)
"""How long a worker may take for one of its steps, in seconds: beyond 30 its call counts as lost before it reports."""


LIMITED = Failure(FailureKind.LIMITED, "the limit of this deployment is used up", Billing.NOT_BILLED, retry_after_s=0.5)


class Stage(IntEnum):
    TAKEN = 0
    STARTED = 1
    ANSWERED = 2
    REPORTED = 3


CRASHES = {
    Stage.TAKEN: "K5: worker crashes, order taken, STARTED not written",
    Stage.STARTED: "K6: worker crashes, STARTED written, nothing sent",
    Stage.REPORTED: "K10: worker crashes, reported, order not acknowledged",
}
AT_RISK = {
    "K7": "K7: worker crashes, sent, no answer read",
    "K8": "K8: worker crashes in mid-stream",
    "K9": "K9: worker crashes, answered, not reported",
}


class Task:
    """One order in the hands of one worker."""

    __slots__ = ("answer", "book", "call", "offset", "order", "outcome", "stage", "worker")

    def __init__(self, order: CallOrdered, offset: int, book: PartitionOffsets, worker: str) -> None:
        self.order, self.offset, self.book, self.worker = order, offset, book, worker
        self.stage = Stage.TAKEN
        self.call: reports.Started | None = None
        self.outcome: Completion | Failed | None = None
        self.answer: Answer | None = None


class Workers:
    """The group of one provider's workers."""

    book_class = PartitionOffsets

    def __init__(self, world: World, name: str, plans: Mapping[tuple[str, str], Plan]) -> None:
        self.world, self.name = world, name
        self._plans = plans
        self._log = world.broker.log(topics.calls(name))
        self._orders = world.serde.of(CallOrdered)
        self._members = 0
        self.tasks: list[Task] = []
        self._committed: tuple[int, frozenset[int]] = (0, frozenset())
        self._taken: set[int] = set()
        self._own()

    def _own(self) -> None:
        """A worker becomes the owner of the orders, and begins where the last commit stands."""
        self._members += 1
        self.owner = f"{self.name}-{self._members}"
        self._position, done = self._committed
        self._book = self.book_class(self._position, done)

    def take(self) -> bool:
        """The owner takes the next order. False when there is none."""
        for record in self._log.committed(self._position):
            self._position = record.offset + 1
            if not (self._book.deliver(record.offset, self._book) and self._book.start(record.offset, self._book)):
                continue
            self._take(record)
            return True
        return False

    def _take(self, record: Record) -> None:
        task = Task(self._orders.decode(record.value), record.offset, self._book, self.owner)
        self.tasks.append(task)
        self.world.say(lambda: f"{task.worker:9} takes order {_name(task)} at {self.name}@{task.offset}")
        if record.offset in self._taken:
            self.world.count["order delivered again"] += 1
            self.world.repeated[(task.order.tenant, task.order.request_id)] += 1
        self._taken.add(record.offset)

    def work(self, index: int, choice: int) -> None:
        """One stage of one task: report its start, make the call, report what came of it, or acknowledge the order."""
        task = self.tasks[index % len(self.tasks)]
        if self.world.faulty:
            self.world.now += LATE_S[choice // 64 % len(LATE_S)] * SECOND * (choice % 16 == 0)
        if task.stage is Stage.TAKEN:
            self._start(task, choice)
        elif task.stage is Stage.STARTED:
            self._call(task, choice)
        elif task.stage is Stage.ANSWERED:
            self._report(task, choice)
        else:
            self._acknowledge(task)

    def crash(self) -> None:
        """The owner dies with all that it holds; another takes over from what was committed."""
        world, owner = self.world, self.owner
        lost = [task for task in self.tasks if task.worker == owner]
        for task in lost:
            name = CRASHES.get(task.stage) or AT_RISK[task.answer.at_risk if task.answer else "K7"]
            world.count[name] += 1
        self.tasks = [task for task in self.tasks if task.worker != owner]
        world.say(lambda: f"{owner:9} crashes with {[f'{_name(task)} {task.stage.name}' for task in lost]}")
        self._own()

    def _end(self, worker: str) -> None:
        """A worker, the owner or one that was, ends by itself."""
        self.world.count["worker ends, its report not acknowledged"] += 1
        if worker == self.owner:
            self.crash()
        else:
            self.tasks = [task for task in self.tasks if task.worker != worker]

    def move(self) -> None:
        """The partition moves to another worker. The calls under way go on; their acknowledgements no longer count."""
        if any(task.worker == self.owner for task in self.tasks):
            self.world.count["orders move, calls under way"] += 1
        self.world.say(lambda: f"{self.owner:9} loses the partition of orders")
        self._own()

    def stop(self, choice: int) -> None:
        """The owner is told to stop: what it has sent is reported as cancelled, the rest stays in the log."""
        world = self.world
        for task in [task for task in self.tasks if task.worker == self.owner]:
            if task.stage in {Stage.STARTED, Stage.ANSWERED}:
                task.outcome = task.outcome if choice % 2 and task.outcome else reports.cancelled(connected=bool(task.outcome))
                task.stage = Stage.ANSWERED
                world.count["call reported by a worker that stops"] += 1
                self._report(task, 1)
            else:
                self.tasks.remove(task)
        world.say(lambda: f"{self.owner:9} has stopped")
        self._own()

    def withdraw(self, key: tuple[str, str], choice: int) -> None:
        """The workers hear that a sender has cancelled: a call under way is cut off, sent or not."""
        for task in self.tasks:
            if (task.order.tenant, task.order.request_id) != key or task.stage not in {Stage.STARTED, Stage.ANSWERED}:
                continue
            if task.stage is Stage.STARTED:
                task.outcome, task.stage = reports.withdrawn(), Stage.ANSWERED
            elif choice % 2:  # the answer is not read
                task.outcome = reports.withdrawn(Billing.UNKNOWN)
            self.world.count["call cut off for a cancelled request"] += 1
            self.world.say(lambda task=task: f"{task.worker:9} cuts off {task.call.call_id if task.call else ''} ({_name(task)})")

    def _start(self, task: Task, choice: int) -> None:
        world, order, now = self.world, task.order, at(self.world.now)
        if task.call is not None and now - task.call.at > GIVES_UP:
            self._end(task.worker)
            return
        if task.call is not None:
            self._write_started(task, choice)
            return
        timeout_s = min(order.timeout_ms / 1000, (order.deadline - now).total_seconds())
        if timeout_s <= 0:
            world.count["order came too late"] += 1
            self._refuse(task, reports.expired().failure)
            return
        if (order.tenant, order.request_id) in world.cancelled and choice % 3:
            world.count["order of a cancelled request"] += 1
            self._refuse(task, reports.withdrawn().failure)
            return
        if world.faulty and choice % 19 == 3:
            world.count["order held back by our own limit"] += 1
            self._refuse(task, LIMITED)
            return
        task.call = reports.Started(order, world.next_call_id(), task.worker, now, timeout_s)
        self._write_started(task, choice)

    def _refuse(self, task: Task, failure: Failure) -> None:
        """Report an order for which nothing is sent."""
        world = self.world
        call_id = world.next_call_id()
        world.report(reports.refused(task.order, failure, call_id=call_id, worker=task.worker, now=at(world.now)))
        task.stage = Stage.REPORTED
        world.say(lambda: f"{task.worker:9} reports {_name(task)} as {failure.kind.value}, no call")

    def _write_started(self, task: Task, choice: int) -> None:
        assert task.call is not None
        if self._acknowledged(reports.started(task.call, grace_s=GRACE_S), choice):
            task.stage = Stage.STARTED

    def _call(self, task: Task, choice: int) -> None:
        order, call, world = task.order, task.call, self.world
        assert call is not None
        if min(order.timeout_ms / 1000, (order.deadline - at(world.now)).total_seconds()) <= 0:
            task.outcome = reports.expired()
        else:
            plan = self._plans[order.tenant, order.request_id]
            task.answer, task.outcome = provider.ask(world, order, call.call_id, choice, plan=plan)
            world.say(lambda: f"{task.worker:9} sends {call.call_id} ({_name(task)}): {task.answer.name if task.answer else ''}")
        task.stage = Stage.ANSWERED

    def _report(self, task: Task, choice: int) -> None:
        call, outcome, world = task.call, task.outcome, self.world
        assert call is not None
        assert outcome is not None
        if world.now - (call.at - at(0)).total_seconds() * SECOND > (call.timeout_s + GRACE_S) * SECOND:
            world.count["call reported after it counted as lost"] += 1
        if self._acknowledged(reports.finished(call, outcome, now=at(world.now), latency_ms=1), choice):
            task.stage = Stage.REPORTED
            if choice % 5:
                self._acknowledge(task)

    def _acknowledged(self, report: CallReported, choice: int) -> bool:
        """Write a report. False when its acknowledgement is lost: the worker will publish the same again."""
        world = self.world
        world.report(report)
        lost = world.faulty and choice % 9 == 0
        if lost:
            world.count[f"{report.phase.value} reported, acknowledgement lost"] += 1
        world.say(
            lambda: (
                f"{report.worker:9} reports {report.call_id} {report.phase.value}"
                f"{f' ({report.failure.kind.value}, {report.failure.billing.value})' if report.failure else ''}"
                f"{', the acknowledgement is lost' * lost}"
            )
        )
        return not lost

    def _acknowledge(self, task: Task) -> None:
        self.tasks.remove(task)
        task.book.finish(task.offset, task.book)
        if task.book is self._book:
            self._committed = (self._book.committable() or 0, self._book.done)
            self.world.say(lambda: f"{task.worker:9} acknowledges {_name(task)}, commits {self._committed[0]}")


def _name(task: Task) -> str:
    return f"{task.order.tenant}/{task.order.request_id}#{task.order.attempt}"
