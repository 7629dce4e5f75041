"""From records to facts: what each topic says, and about what. Pure; it decides nothing."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from schemas.calls import Billing, CallPhase, CallReported, FailureKind, Usage
from schemas.errors import RecordError
from schemas.ledger import CostEvent, CostKind, CostTotal
from schemas.outcomes import CacheState, DeadLetter, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest
from schemas.serde import Serde, salvage_request_id
from streams import topics
from streams.verify.facts import (
    CALL,
    TOTAL,
    About,
    Adjusted,
    Amounts,
    Answered,
    Charged,
    DeadLettered,
    Ended,
    Fact,
    Final,
    Hit,
    Requested,
    Spent,
    Started,
    Stated,
    Tried,
    Unreadable,
    Unsent,
    position,
    request,
)

READ = (topics.REQUESTS, topics.RESPONSES, topics.ATTEMPTS, topics.COSTS, topics.COST_TOTALS, topics.DEAD_LETTERS)
DIGESTED_BYTES = 256 * 1024
"""A dead letter carries this much of the record at most."""

_UNKNOWN_TENANT = "unknown"
_MAX_TENANT_CHARS = 256
_MAX_ANSWERABLE_CHARS = 1_000
_DECODING = frozenset({"truncated", "bad_magic", "wrong_type", "undecodable", "incompatible_schema", "trailing_bytes"})
"""Reasons of dead letters that the record itself must confirm. An unknown schema may have become known since."""

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
        self._readers: Mapping[str, Callable[[Record], Said]] = {
            topics.REQUESTS: self._request,
            topics.RESPONSES: self._response,
            topics.ATTEMPTS: self._report,
            topics.COSTS: self._cost,
            topics.COST_TOTALS: self._total,
            topics.DEAD_LETTERS: self._letter,
        }

    def facts(self, record: Record) -> Said:
        """What one record says."""
        self.records += 1
        try:
            yield from self._readers[record.topic](record)
        except RecordError:
            place = position(record.topic, record.partition, record.offset)
            size, digest = _digest(record.value or b"")
            yield place, Unreadable(record.timestamp * 1000, size, digest)

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
                yield request(_tenant(None, record.key), request_id), fact
            raise
        if 0 < len(asked.request_id) <= _MAX_ANSWERABLE_CHARS:
            if asked.deadline is not None:
                deadline_us = _us(asked.deadline)
            fact = Requested(record.partition, record.offset, sent_us, deadline_us)
            yield request(_tenant(asked.tenant, record.key), asked.request_id), fact

    def _response(self, record: Record) -> Said:
        answer = self._responses.decode(record.value)
        if _us(answer.received_at) < self._horizon_us:
            self.skipped += 1
            return
        if not answer.final:
            return
        hit = answer.cache is CacheState.HIT
        fact = Final(record.partition, record.offset, _us(answer.answered_at), hit, answer.call_id)
        yield request(answer.tenant, answer.request_id), fact
        if answer.call_id is not None and answer.status is ResponseStatus.OK:
            yield About(CALL, answer.call_id), Answered(record.partition, record.offset)

    def _report(self, record: Record) -> Said:
        report = self._attempts.decode(record.value)
        if _us(report.started_at or report.reported_at) < self._horizon_us:
            self.skipped += 1
            return
        about, owner = About(CALL, report.call_id), request(report.tenant, report.request_id)
        place = record.partition, record.offset
        if report.phase is CallPhase.STARTED:
            lost_us = _us(report.lost_at or report.reported_at)
            yield about, Started(*place, owner.name, report.attempt, lost_us)
            yield owner, Tried(report.call_id, report.attempt)
            return
        yield about, Ended(*place, report.phase is CallPhase.COMPLETED, _us(report.reported_at))
        failure = report.failure
        if (
            failure is not None
            and failure.billing is Billing.NOT_BILLED
            and failure.kind in {FailureKind.UNREACHABLE, FailureKind.EXPIRED}
        ):
            yield owner, Unsent(report.call_id)

    def _cost(self, record: Record) -> Said:
        event = self._costs.decode(record.value)
        occurred_us = _us(event.occurred_at)
        place = record.partition, record.offset
        usage = event.usage or Usage(0, 0)
        if _hour_us(event.occurred_at) >= self._costs_horizon_us:
            yield (
                About(TOTAL, _total_key(event.lane, event.provider, event.model, event.occurred_at)),
                Spent(*place, _amounts(event, usage)),
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
        else:
            yield About(CALL, event.event_id), Adjusted(*place)

    def _total(self, record: Record) -> Said:
        total = self._totals.decode(record.value)
        if _us(total.hour) >= self._costs_horizon_us:
            amounts = Amounts(*(getattr(total, name) for name in Amounts._fields))
            key = _total_key(total.lane, total.provider, total.model, total.hour)
            yield About(TOTAL, key), Stated(record.partition, record.offset, amounts)

    def _letter(self, record: Record) -> Said:
        letter = self._letters.decode(record.value)
        if _us(letter.timestamp) < self._horizon_us:
            self.skipped += 1
            return
        _, digest = _digest(letter.value)
        undecodable = letter.topic == topics.REQUESTS and letter.reason in _DECODING
        about = position(letter.topic, letter.partition, letter.offset)
        yield about, DeadLettered(record.partition, record.offset, letter.value_size, digest, undecodable)


def _amounts(event: CostEvent, usage: Usage) -> Amounts:
    call = event.kind is CostKind.CALL
    return Amounts(
        calls=int(call),
        cost_nanousd=event.cost_nanousd or 0,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        estimated_calls=int(call and event.estimated),
        wasted_calls=int(call and event.wasted),
        unpriced_calls=int(call and event.cost_nanousd is None),
        cache_hits=int(event.kind is CostKind.CACHE_HIT),
        avoided_nanousd=event.avoided_nanousd or 0,
    )


def _total_key(lane: str, provider: str, model: str, at: datetime) -> str:
    """Lane, provider, model and hour, told apart by their lengths: our own, not the topic's key."""
    return f"{len(lane)}:{lane} {len(provider)}:{provider} {model} {at:%Y-%m-%dT%H}"


def _us(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _hour_us(at: datetime) -> int:
    return int(at.timestamp()) // 3600 * 3_600_000_000


def _digest(value: bytes) -> tuple[int, str]:
    return len(value), hashlib.sha256(value[:DIGESTED_BYTES]).hexdigest()[:16]


def _tenant(said: str | None, key: bytes | None) -> str:
    """Whose the request is: as it says, else as its key says, when that can be a name."""
    for name in (said, None if key is None else key.decode("utf-8", errors="replace")):
        if name and len(name) <= _MAX_TENANT_CHARS and name.isprintable() and not name.isspace():
            return name
    return _UNKNOWN_TENANT
