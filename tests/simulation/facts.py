"""What the logs say, for the oracle: read as any read_committed reader would, without the dispatcher's code."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.calls import CallOrdered, CallPhase, CallReported, FailureKind
from schemas.errors import RecordError
from schemas.ledger import CostEvent, CostTotal
from schemas.outcomes import InferenceResponse
from schemas.routing import RequestRouted
from schemas.state import DispatchChange
from streams import topics
from tests.simulation.world import World, at

Key = tuple[str, str]


@dataclass(slots=True)
class Said:
    """One committed transaction. `seen`: what dispatchers' clocks had shown at most when it was committed."""

    partition: int
    seen: datetime
    orders: list[CallOrdered] = field(default_factory=list)
    responses: list[InferenceResponse] = field(default_factory=list)
    costs: list[CostEvent] = field(default_factory=list)
    totals: dict[str, CostTotal] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    dead_letters: int = 0


@dataclass(slots=True)
class RoutedAt:
    """A routed record and where it stands."""

    record: RequestRouted
    partition: int
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
    reports: dict[Key, list[tuple[CallReported, datetime]]]
    calls: dict[str, Call]
    poisoned: int

    @classmethod
    def of(cls, world: World) -> "Facts":
        transactions = [_said(world, transaction) for transaction in world.broker.transactions]
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
            self.reports.setdefault((report.tenant, report.request_id), []).append((report, seen))
            if report.phase is CallPhase.STARTED:
                self.calls.setdefault(report.call_id, Call(report))
            elif (call := self.calls.get(report.call_id)) is not None and call.ended is None:
                call.ended, call.seen = report, seen

    def completed_before(self, key: Key, deadline: datetime) -> CallReported | None:
        """A success that stood in the log before any dispatcher's clock had reached the deadline."""
        for report, seen in self.reports.get(key, ()):
            if report.failure is not None and report.failure.kind is FailureKind.EXPIRED:
                return None
            if report.phase is CallPhase.COMPLETED and seen < deadline:
                return report
        return None


def _said(world: World, transaction: Any) -> Said:
    said, serde = Said(transaction.partition, at(transaction.seen)), world.serde
    for record in transaction.records:
        topic, value = record.topic, record.value
        if topic == topics.CHANGELOG:
            if record.key.startswith("position/"):
                said.positions[record.key.removeprefix("position/")] = serde.of(DispatchChange).decode(value).position
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
