"""A log written by hand, as the pipeline would have left it, for tests of the checker to break."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from processors.cost import totals
from schemas.calls import (
    Billing,
    CallPhase,
    CallReported,
    Failure,
    FailureKind,
    Output,
    Usage,
    UsageSource,
)
from schemas.ledger import CostEvent, CostKind, CostTotal, PricingStatus
from schemas.outcomes import CacheState, DeadLetter, ErrorInfo, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest, Message
from schemas.serde import Serde
from streams import topics

T0 = datetime(2026, 1, 31, 15, 59, tzinfo=UTC)
PRICE = 150  # nano-dollars a token


@dataclass(slots=True)
class Line:
    """One record, as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class HandMadeLog:
    """Records by topic in the order of writing; `records` may be changed before `lines` encodes them."""

    records: list[tuple[str, str, Any, datetime]] = field(default_factory=list)
    provider_calls: list[dict[str, Any]] = field(default_factory=list)
    serde: Serde = field(default_factory=Serde)

    def add(self, topic: str, key: str, record: Any, at: datetime = T0) -> None:
        """`record` may be bytes, which are written as they are."""
        self.records.append((topic, key, record, at))

    def of(self, topic: str) -> list[Any]:
        return [record for name, _, record, _ in self.records if name == topic]

    def drop(self, unwanted: Any) -> None:
        self.records = [entry for entry in self.records if entry[2] is not unwanted]

    def swap(self, old: Any, new: Any) -> None:
        self.records = [(t, k, new if record is old else record, at) for t, k, record, at in self.records]

    def write_totals(self) -> None:
        """State the totals of the cost events as they stand, each twice: on the way, and at the end."""
        by_key: dict[str, CostTotal] = {}
        for event in self.of(topics.COSTS):
            key = totals.total_key(event)
            first = key not in by_key
            by_key[key] = totals.add(by_key.get(key), event, now=T0)
            if first:
                self.add(topics.COST_TOTALS, key, by_key[key])
        for key, total in by_key.items():
            self.add(topics.COST_TOTALS, key, total)

    def lines(self) -> Iterable[Line]:
        """Every record, all in partition 0, at offsets as a broker would give them."""
        offsets: dict[str, int] = {}
        for topic, key, record, at in self.records:
            offset = offsets.get(topic, 0)
            offsets[topic] = offset + 1
            value = record if isinstance(record, bytes) else self.serde.encode(record)
            yield Line(topic, 0, offset, int(at.timestamp() * 1000), key.encode(), value)

    def ends(self) -> dict[str, list[int]]:
        ends = {name: [0] for name in topics.all_topics(("openai",))}
        for line in self.lines():
            ends[line.topic] = [line.offset + 1]
        return ends

    def write_call_log(self, path: Path) -> Path:
        """The calls as the simulator would have logged them."""
        with path.open("w") as log:
            for seq, call in enumerate(self.provider_calls):
                whole = {"run": "r", "seq": seq, "bytes_out": 10, "status": 200, "fault": None, "completed": True, **call}
                log.write(json.dumps({"event": "arrived", **whole}) + "\n")
                log.write(json.dumps({"event": "finished", **whole}) + "\n")
        return path


def request(request_id: str, *, tenant: str = "acme", deadline: datetime | None = None) -> InferenceRequest:
    return InferenceRequest(request_id, tenant, "gpt-4o-mini", messages=(Message("user", "hello"),), deadline=deadline)


def report(
    request_id: str, call_id: str, phase: CallPhase, *, attempt: int = 1, tenant: str = "acme", at: datetime = T0, **more: Any
) -> CallReported:
    return CallReported(
        call_id=call_id,
        phase=phase,
        request_id=request_id,
        attempt=attempt,
        tenant=tenant,
        lane=tenant,
        deployment="openai/gpt-4o-mini",
        provider="openai",
        model="gpt-4o-mini",
        worker="w",
        reported_at=at,
        started_at=at,
        **{"lost_at": at + timedelta(seconds=70), **more},
    )


def cost(request_id: str, call_id: str, usage: Usage | None, *, attempt: int = 1, tenant: str = "acme", **more: Any) -> CostEvent:
    return CostEvent(
        event_id=call_id,
        kind=CostKind.CALL,
        call_id=call_id,
        request_id=request_id,
        tenant=tenant,
        lane=tenant,
        attempt=attempt,
        provider="openai",
        deployment="openai/gpt-4o-mini",
        model="gpt-4o-mini",
        occurred_at=T0,
        recorded_at=T0,
        usage=usage,
        **({"cost_nanousd": PRICE * (usage.input_tokens + usage.output_tokens)} if usage else {"cost_nanousd": 0}) | more,
    )


def final(request_id: str, *, tenant: str = "acme", call_id: str | None = None, **more: Any) -> InferenceResponse:
    return InferenceResponse(
        request_id=request_id,
        tenant=tenant,
        request_model="gpt-4o-mini",
        attempts=1,
        task_kind="chat",
        policy="cheapest@1",
        call_id=call_id,
        **{
            "final": True,
            "status": ResponseStatus.OK,
            "received_at": T0,
            "answered_at": T0 + timedelta(seconds=1),
            **more,
        },
    )


def clean_log() -> HandMadeLog:
    """What a clean run leaves: an answer, a retry, a lost call, a cache hit, a repeat, poison with and without an id."""
    log = HandMadeLog()
    one_answer(log, "r1", "c1")
    # r2: refused once and not billed, then answered.
    log.add(topics.REQUESTS, "acme", request("r2"))
    log.add(topics.ATTEMPTS, "acme", report("r2", "c2", CallPhase.STARTED))
    refused = Failure(FailureKind.RATE_LIMITED, "429", Billing.NOT_BILLED, http_status=429)
    log.add(topics.ATTEMPTS, "acme", report("r2", "c2", CallPhase.FAILED, failure=refused))
    log.add(topics.COSTS, "acme", cost("r2", "c2", None, pricing_status=PricingStatus.NOT_BILLED))
    log.provider_calls.append(_call("r2", "c2", 0, 0))
    _answer(log, "r2", "c3", attempt=2)
    # r3: the first call was lost with its worker, its redelivered order answered.
    log.add(topics.REQUESTS, "acme", request("r3"))
    log.add(topics.ATTEMPTS, "acme", report("r3", "c4", CallPhase.STARTED))
    _answer(log, "r3", "c5")
    estimate = Usage(20, 40, source=UsageSource.ESTIMATED)
    priced = PricingStatus.PRICED
    log.add(topics.COSTS, "acme", cost("r3", "c4", estimate, estimated=True, wasted=True, pricing_status=priced))
    log.provider_calls.append(_call("r3", "c4", 12, 30))
    # r4: answered from the cache.
    log.add(topics.REQUESTS, "acme", request("r4"))
    log.add(topics.RESPONSES, "r4", final("r4", cache=CacheState.HIT))
    hit = replace(cost("r4", "x", None), kind=CostKind.CACHE_HIT, event_id="cache/acme/r4", call_id=None, avoided_nanousd=900)
    log.add(topics.COSTS, "acme", replace(hit, pricing_status=PricingStatus.NOT_BILLED))
    # r1 again: a notice, no second final.
    log.add(topics.REQUESTS, "acme", request("r1"), at=T0 + timedelta(seconds=2))
    log.add(topics.RESPONSES, "r1", final("r1", final=False, status=ResponseStatus.DUPLICATE))
    # Two tenants may use the same id.
    one_answer(log, "r1", "c6", tenant="globex")
    # Poison without an id, and poison whose id can be read, which is answered too.
    poison(log, b"\xff\xff poison")
    readable = HandMadeLog().serde.encode(request("r5"))
    poison(log, readable + b"trailing")
    error = ErrorInfo("trailing_bytes", "8 bytes follow")
    log.add(topics.RESPONSES, "r5", final("r5", status=ResponseStatus.ERROR, error=error))
    log.write_totals()
    return log


def one_answer(log: HandMadeLog, request_id: str, call_id: str, *, tenant: str = "acme") -> None:
    log.add(topics.REQUESTS, tenant, request(request_id, tenant=tenant))
    _answer(log, request_id, call_id, tenant=tenant)


def poison(log: HandMadeLog, value: bytes) -> None:
    offset = len(log.of(topics.REQUESTS))
    log.add(topics.REQUESTS, "acme", value)
    log.add(topics.DEAD_LETTERS, f"{topics.REQUESTS}-0-{offset}", dead_letter(offset, value))


def dead_letter(offset: int, value: bytes, *, reason: str = "bad_magic") -> DeadLetter:
    return DeadLetter(topics.REQUESTS, 0, offset, "intake", reason, "not Avro", value, len(value), T0, T0)


def _answer(log: HandMadeLog, request_id: str, call_id: str, *, attempt: int = 1, tenant: str = "acme") -> None:
    usage = Usage(10, 5, cache_read_input_tokens=4)
    common: dict[str, Any] = {"attempt": attempt, "tenant": tenant}
    log.add(topics.ATTEMPTS, tenant, report(request_id, call_id, CallPhase.STARTED, **common))
    done = report(request_id, call_id, CallPhase.COMPLETED, usage=usage, output=Output("hi"), **common)
    log.add(topics.ATTEMPTS, tenant, done)
    log.add(topics.COSTS, tenant, cost(request_id, call_id, usage, pricing_status=PricingStatus.PRICED, **common))
    log.add(topics.RESPONSES, request_id, final(request_id, tenant=tenant, call_id=call_id))
    log.provider_calls.append(_call(request_id, call_id, 10, 5))


def _call(request_id: str, call_id: str, input_tokens: int, output_tokens: int) -> dict[str, Any]:
    t_in = T0.timestamp()
    common = {"call_id": call_id, "request_id": request_id, "provider": "openai", "model": "gpt-4o-mini", "t_in": t_in}
    return {**common, "input_tokens": input_tokens, "output_tokens": output_tokens}
