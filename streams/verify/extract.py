"""From records to facts: what each topic says, and about what. Pure; it decides nothing."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from schemas.calls import Billing, CallOrdered, CallPhase, CallReported, FailureKind, Usage
from schemas.errors import RecordError
from schemas.ledger import CostEvent, CostKind, CostTotal
from schemas.outcomes import DeadLetter, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from schemas.serde import Serde, salvage_request_id
from schemas.state import DispatchChange
from streams import topics
from streams.verify.derive import amounts_of, digest, hour_us, sequence_of, tenant_of, text_of, total_key, us
from streams.verify.facts import (
    CALL,
    TOTAL,
    TRIES,
    About,
    Adjusted,
    Amounts,
    Answered,
    Charged,
    DeadLettered,
    Ended,
    Fact,
    Failed,
    Final,
    Hit,
    Letter,
    Moved,
    Ordered,
    Requested,
    Routed,
    Sent,
    Spent,
    Started,
    Stated,
    Tried,
    Unreadable,
    keyed,
    position,
    progress,
    request,
)

READ = (
    topics.REQUESTS,
    topics.ROUTED,
    topics.RESPONSES,
    topics.ATTEMPTS,
    topics.COSTS,
    topics.COST_TOTALS,
    topics.DEAD_LETTERS,
    topics.CHANGELOG,
)
"""Beside these, every topic of orders, `ai.calls.<provider>`."""
DISPATCHER = "the dispatcher"

_MAX_ANSWERABLE_CHARS = 1_000
_POSITION = b"position/"
"""Keys of the changelog under which the dispatcher says how far it has read its inputs."""

_DECODING = frozenset({"truncated", "bad_magic", "wrong_type", "undecodable", "incompatible_schema", "trailing_bytes"})
"""Reasons of dead letters that the record itself must confirm. An unknown schema may have become known since."""

_ENDS = frozenset({CallPhase.COMPLETED, CallPhase.FAILED})
_UNSENT = frozenset({FailureKind.UNREACHABLE, FailureKind.EXPIRED})

Said = Iterator[tuple[About, Fact]]


class Record(Protocol):
    """What is needed of aiokafka's ConsumerRecord."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Extract:
    """Reads the statements of records. Requests without a deadline get `timeout_us` from their timestamp.

    What began before `horizon_us` is skipped and counted: some of what belongs to it has left the log.
    """

    def __init__(self, serde: Serde, *, timeout_us: int, horizon_us: int = 0, costs_horizon_us: int = 0) -> None:
        self.records = self.skipped = 0
        self._serde, self._timeout_us = serde, timeout_us
        self._horizon_us, self._costs_horizon_us = horizon_us, costs_horizon_us
        self._requests, self._responses = serde.of(InferenceRequest), serde.of(InferenceResponse)
        self._attempts, self._costs = serde.of(CallReported), serde.of(CostEvent)
        self._totals, self._letters = serde.of(CostTotal), serde.of(DeadLetter)
        self._routed, self._orders, self._changes = serde.of(RequestRouted), serde.of(CallOrdered), serde.of(DispatchChange)
        self._readers: Mapping[str, Callable[[Record], Said]] = {
            topics.REQUESTS: self._request,
            topics.RESPONSES: self._response,
            topics.ATTEMPTS: self._report,
            topics.COSTS: self._cost,
            topics.COST_TOTALS: self._total,
            topics.DEAD_LETTERS: self._letter,
            topics.ROUTED: self._route,
            topics.CHANGELOG: self._change,
        }

    def facts(self, record: Record) -> Said:
        """What one record says."""
        self.records += 1
        try:
            yield from self._readers.get(record.topic, self._order)(record)
        except RecordError:
            place = position(record.topic, record.partition, record.offset)
            size, whole = digest(record.value or b"")
            yield place, Unreadable(record.timestamp * 1000, size, whole)

    def _request(self, record: Record) -> Said:
        sent_us = record.timestamp * 1000
        if sent_us < self._horizon_us:
            self.skipped += 1
            return
        deadline_us = sent_us + self._timeout_us
        try:
            asked = self._requests.decode(record.value)
        except RecordError as error:
            request_id = None if error.reason == "wrong_type" else salvage_request_id(record.value)
            if request_id is not None:
                fact = Requested(record.partition, record.offset, sent_us, deadline_us)
                yield request(tenant_of(None, record.key), request_id), fact
            raise
        if 0 < len(asked.request_id) <= _MAX_ANSWERABLE_CHARS:
            if asked.deadline is not None:
                deadline_us = us(asked.deadline)
            fact = Requested(record.partition, record.offset, sent_us, deadline_us)
            yield request(tenant_of(asked.tenant, record.key), asked.request_id), fact

    def _response(self, record: Record) -> Said:
        answer = self._responses.decode(record.value)
        if us(answer.received_at) < self._horizon_us:
            self.skipped += 1
            return
        if not answer.final:
            return
        hit = answer.cache.served
        fact = Final(record.partition, record.offset, us(answer.answered_at), hit, answer.call_id)
        yield request(answer.tenant, answer.request_id), fact
        if answer.call_id is not None and answer.status is ResponseStatus.OK:
            yield About(CALL, answer.call_id), Answered(record.partition, record.offset)

    def _report(self, record: Record) -> Said:
        report = self._attempts.decode(record.value)
        if us(report.started_at or report.reported_at) < self._horizon_us:
            self.skipped += 1
            return
        about, owner = About(CALL, report.call_id), request(report.tenant, report.request_id)
        place = record.partition, record.offset
        if report.phase is CallPhase.STARTED:
            lost_us = us(report.lost_at or report.reported_at)
            yield about, Started(*place, owner.name, report.attempt, lost_us)
            yield owner, Tried(report.call_id, report.attempt)
            yield About(TRIES, report.request_id), Sent(owner.name, report.call_id, report.attempt)
        elif report.phase in _ENDS:
            yield about, Ended(*place, report.phase is CallPhase.COMPLETED, us(report.reported_at))
            if (failure := report.failure) is not None:
                unsent = failure.billing is Billing.NOT_BILLED and failure.kind in _UNSENT
                yield owner, Failed(report.call_id, report.attempt, unsent)

    def _cost(self, record: Record) -> Said:
        event = self._costs.decode(record.value)
        occurred_us = us(event.occurred_at)
        place = record.partition, record.offset
        usage = event.usage or Usage(0, 0)
        if hour_us(event.occurred_at) >= self._costs_horizon_us:
            yield (
                About(TOTAL, total_key(event.lane, event.provider, event.model, event.occurred_at)),
                Spent(*place, amounts_of(event, usage)),
            )
        if occurred_us < self._horizon_us:
            self.skipped += 1
            return
        owner = request(event.tenant, event.request_id)
        if event.kind is CostKind.CALL:
            counted = event.usage is not None
            yield (
                About(CALL, event.call_id or event.event_id),
                Charged(
                    *place,
                    request=owner.name,
                    attempt=event.attempt,
                    estimated=event.estimated,
                    wasted=event.wasted,
                    pricing=event.pricing_status.value,
                    cost_nanousd=event.cost_nanousd,
                    input_tokens=usage.input_tokens if counted else -1,
                    output_tokens=usage.output_tokens if counted else -1,
                ),
            )
        elif event.kind is CostKind.CACHE_HIT:
            yield owner, Hit(*place)
        elif event.kind is CostKind.ADJUSTED:
            call_id = event.call_id or event.event_id
            yield (
                About(CALL, call_id),
                Adjusted(
                    *place,
                    sequence=sequence_of(event.event_id, call_id),
                    request=owner.name,
                    attempt=event.attempt,
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cost_nanousd=event.cost_nanousd,
                    replaces_estimate=event.replaces_estimate,
                ),
            )

    def _total(self, record: Record) -> Said:
        total = self._totals.decode(record.value)
        if us(total.hour) >= self._costs_horizon_us:
            amounts = Amounts(*(getattr(total, name) for name in Amounts._fields))
            key = total_key(total.lane, total.provider, total.model, total.hour)
            yield About(TOTAL, key), Stated(record.partition, record.offset, amounts)

    def _letter(self, record: Record) -> Said:
        letter = self._letters.decode(record.value)
        if us(letter.timestamp) < self._horizon_us:
            self.skipped += 1
            return
        _, whole = digest(letter.value)
        undecodable = letter.topic == topics.REQUESTS and letter.reason in _DECODING
        about = position(letter.topic, letter.partition, letter.offset)
        key = text_of(letter.key)
        place = record.partition, record.offset
        yield about, DeadLettered(*place, letter.value_size, whole, undecodable, letter.reason, key)
        if key is not None:
            yield keyed(letter.topic, key), Letter(letter.partition, letter.offset, letter.reason, record.offset)

    def _route(self, record: Record) -> Said:
        routed = self._routed.decode(record.value)
        if us(routed.received_at) < self._horizon_us:
            self.skipped += 1
            return
        yield request(routed.tenant, routed.request_id), Routed(record.partition, record.offset, us(routed.received_at))

    def _order(self, record: Record) -> Said:
        order = self._orders.decode(record.value)
        if us(order.ordered_at) < self._horizon_us:
            self.skipped += 1
            return
        yield request(order.tenant, order.request_id), Ordered(record.topic, record.partition, record.offset, order.attempt)

    def _change(self, record: Record) -> Said:
        """Of the dispatcher's changelog only how far it has read; what it makes of that is not looked at."""
        if record.key is None or record.value is None or not record.key.startswith(_POSITION):
            return
        if (to := self._changes.decode(record.value).position) is not None:
            topic = record.key.removeprefix(_POSITION).decode("utf-8", errors="replace")
            yield progress(DISPATCHER, topic, record.partition), Moved(record.partition, record.offset, to)
