"""What the log holds about one request, put together. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from schemas.calls import CallOrdered, CallPhase, CallReported
from schemas.ledger import CostEvent
from schemas.outcomes import DeadLetter, InferenceResponse
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from streams.verify.derive import tenant_of

R = TypeVar("R")

_KINDS: dict[type[Any], str] = {
    InferenceRequest: "requests",
    RequestRouted: "decisions",
    CallOrdered: "orders",
    CallReported: "calls",
    CostEvent: "costs",
    InferenceResponse: "responses",
    DeadLetter: "dead_letters",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A record where it stands."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    record: Any
    key: bytes | None = None

    @property
    def tenant(self) -> str | None:
        """Whose the record is. A request that names no tenant is its key's, as intake takes it; None for what is nobody's."""
        said = getattr(self.record, "tenant", None)
        return tenant_of(said, self.key) if isinstance(self.record, InferenceRequest) else said

    @property
    def where(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("topic", "partition", "offset", "timestamp", "record")}


@dataclass(slots=True)
class Lineage:
    """The records of one request of one tenant, each kind in the order of time."""

    request_id: str
    tenant: str
    seen: dict[str, list[Seen]] = field(default_factory=lambda: {name: [] for name in _KINDS.values()})

    def of(self, record_type: type[R]) -> list[R]:
        return [found.record for found in self.seen[_KINDS[record_type]]]

    @property
    def decision(self) -> RequestRouted | None:
        """The one that counts: a later one is of the same request sent or read again."""
        return next(iter(self.of(RequestRouted)), None)

    @property
    def final(self) -> InferenceResponse | None:
        return next((response for response in self.of(InferenceResponse) if response.final), None)

    @property
    def state(self) -> str:
        return "open" if self.final is None else "finished"

    def attempts(self) -> list["Attempt"]:
        """What was ordered and called, in the order of the attempts; an order that came again makes a call of its own."""
        orders = {order.attempt: order for order in self.of(CallOrdered)}
        calls: dict[str, list[CallReported]] = {}
        for report in self.of(CallReported):
            calls.setdefault(report.call_id, []).append(report)
        found = [_attempt(reports, orders.get(reports[0].attempt), self.of(CostEvent)) for reports in calls.values()]
        called = {attempt.number for attempt in found}
        found += [Attempt(n, order.deployment, order) for n, order in orders.items() if n not in called]
        return sorted(found, key=lambda attempt: attempt.number)

    def as_json(self) -> dict[str, Any]:
        entries = {kind: [found.as_json() for found in seen] for kind, seen in self.seen.items()}
        return {"request_id": self.request_id, "tenant": self.tenant, "state": self.state, **entries}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call, or one order of which no call is known: then `call_id` is None. `ended` is None while nothing more was heard."""

    number: int
    deployment: str
    order: CallOrdered | None
    call_id: str | None = None
    started_at: datetime | None = None
    ended: CallReported | None = None
    costs: tuple[CostEvent, ...] = ()


def lineages(seen: Iterable[Seen], request_id: str, *, tenant: str | None = None) -> list[Lineage]:
    """By tenant. Records of other requests, which only mention the id, are left out; so is a dead letter of nobody's."""
    found: dict[str, Lineage] = {}
    for each in sorted(seen, key=lambda s: (s.timestamp, s.topic, s.partition, s.offset)):
        kind, owner = _KINDS.get(type(each.record)), each.tenant
        if kind is None or owner is None or each.record.request_id != request_id or tenant not in {None, owner}:
            continue
        found.setdefault(owner, Lineage(request_id, owner)).seen[kind].append(each)
    return [found[name] for name in sorted(found)]


def _attempt(reports: list[CallReported], order: CallOrdered | None, costs: list[CostEvent]) -> Attempt:
    first = reports[0]
    return Attempt(
        number=first.attempt,
        deployment=first.deployment,
        order=order,
        call_id=first.call_id,
        started_at=next((report.started_at for report in reports if report.started_at is not None), None),
        ended=next((report for report in reports if report.phase in {CallPhase.COMPLETED, CallPhase.FAILED}), None),
        costs=tuple(cost for cost in costs if cost.call_id == first.call_id),
    )
