"""What the logs say, for the oracle: read as any read_committed reader would, without the dispatcher's code."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from schemas.calls import CallOrdered, CallPhase, CallReported, FailureKind
from schemas.errors import RecordError
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import InferenceResponse
from schemas.routing import RequestRouted
from schemas.state import DispatchChange, RequestState
from streams import topics
from tests.simulation.world import World, at

Key = tuple[str, str]


@dataclass(slots=True)
class Said:
    """One committed transaction. `seen`: what dispatchers' clocks had shown at most when it was committed.

    `read` is how many reports of its partition were read by then, `read_before` by the one before. `requests` are the states
    of requests that it wrote, None for one that was forgotten; noted only where requests may follow each other.
    """

    partition: int
    seen: datetime
    read: int = 0
    read_before: int = 0
    orders: list[CallOrdered] = field(default_factory=list)
    responses: list[InferenceResponse] = field(default_factory=list)
    costs: list[CostEvent] = field(default_factory=list)
    totals: dict[str, CostTotal] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, RequestState | None]] = field(default_factory=list)
    dead_letters: int = 0


@dataclass(slots=True)
class RoutedAt:
    """A routed record and where it stands."""

    record: RequestRouted
    partition: int
    offset: int


class ReportAt(NamedTuple):
    """A report and where it stands. `seen`: what dispatchers' clocks had shown at most when it was written."""

    record: CallReported
    seen: datetime
    offset: int


@dataclass(slots=True)
class Call:
    """What the reports say of one started call. `seen`: what dispatchers' clocks had shown at most when its end was reported."""

    started: CallReported
    ended: CallReported | None = None
    seen: datetime | None = None


@dataclass(slots=True)
class Facts:
    """Everything that the oracle looks at."""

    transactions: list[Said]
    routed: dict[Key, list[RoutedAt]]
    """By request, in the order of the log: the first body wins."""
    reports: dict[Key, list[ReportAt]]
    calls: dict[str, Call]
    poisoned: int

    @classmethod
    def of(cls, world: World) -> "Facts":
        flights = any(plan.flight is not None for plan in world.schedule.requests)
        transactions = [_said(world, transaction, flights=flights) for transaction in world.broker.transactions]
        _count_read(transactions)
        facts = cls(transactions, {}, {}, {}, 0)
        for partition in range(world.partitions):
            facts._read_routed(world, partition)
            facts._read_reports(world, partition)
        return facts

    def _read_routed(self, world: World, partition: int) -> None:
        codec = world.serde.of(RequestRouted)
        for record in world.broker.log(topics.ROUTED, partition).committed():
            try:
                routed = codec.decode(record.value)
            except RecordError:
                self.poisoned += 1
                continue
            self.routed.setdefault((routed.tenant, routed.request_id), []).append(RoutedAt(routed, partition, record.offset))

    def _read_reports(self, world: World, partition: int) -> None:
        codec = world.serde.of(CallReported)
        for record in world.broker.log(topics.ATTEMPTS, partition).committed():
            try:
                report = codec.decode(record.value)
            except RecordError:
                self.poisoned += 1
                continue
            seen = at(record.seen)
            self.reports.setdefault((report.tenant, report.request_id), []).append(ReportAt(report, seen, record.offset))
            if report.phase is CallPhase.STARTED:
                self.calls.setdefault(report.call_id, Call(report))
            elif (call := self.calls.get(report.call_id)) is not None and call.ended is None:
                call.ended, call.seen = report, seen

    def completed_before(self, key: Key, deadline: datetime) -> CallReported | None:
        """A success that stood in the log before any dispatcher's clock had reached the deadline."""
        for report, seen, _ in self.reports.get(key, ()):
            if report.failure is not None and report.failure.kind is FailureKind.EXPIRED:
                return None
            if report.phase is CallPhase.COMPLETED and seen < deadline:
                return report
        return None

    def folded_in(self, key: Key) -> int:
        """The number of the transaction that passed the first routed record of a request."""
        first = self.routed[key][0]
        return self.passed(first.partition, first.offset)

    def passed(self, partition: int, offset: int) -> int:
        """The number of the transaction that passed an offset of the routed records."""
        for number, said in enumerate(self.transactions):
            if said.partition == partition and said.positions.get(topics.ROUTED, 0) > offset:
                return number
        return len(self.transactions)


def _count_read(transactions: list[Said]) -> None:
    read: dict[int, int] = {}
    for said in transactions:
        said.read_before = read.get(said.partition, 0)
        said.read = read[said.partition] = said.positions.get(topics.ATTEMPTS, said.read_before)


def _said(world: World, transaction: Any, *, flights: bool) -> Said:
    said, serde = Said(transaction.partition, at(transaction.seen)), world.serde
    for record in transaction.records:
        topic, value = record.topic, record.value
        if topic == topics.CHANGELOG:
            if record.key.startswith("position/"):
                said.positions[record.key.removeprefix("position/")] = serde.of(DispatchChange).decode(value).position
            elif flights and record.key.startswith("request/"):
                state = None if value is None else serde.of(DispatchChange).decode(value).request
                said.requests.append((record.key, state))
        elif topic == topics.RESPONSES:
            said.responses.append(serde.of(InferenceResponse).decode(value))
        elif topic == topics.COSTS:
            said.costs.append(serde.of(CostEvent).decode(value))
        elif topic == topics.COST_TOTALS:
            said.totals[record.key] = serde.of(CostTotal).decode(value)
        elif topic == topics.DEAD_LETTERS:
            said.dead_letters += 1
        else:
            said.orders.append(serde.of(CallOrdered).decode(value))
    return said
