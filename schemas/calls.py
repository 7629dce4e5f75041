"""What is ordered of a provider, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.requests import Operation, ToolCall


class FailureKind(StrEnum):
    """Why a call gave no answer. Whether to try again is for `processors.dispatch` to say.

    `rate_limited` by the provider; `limited` by the operator's own limit, before anything was sent.
    """

    RATE_LIMITED = "rate_limited"
    LIMITED = "limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"
    MALFORMED_REPLY = "malformed_reply"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    CONTEXT_TOO_LONG = "context_too_long"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, _value: object) -> "FailureKind":
        # A newer worker's kind: nothing unknown is retried.
        return cls.REJECTED


class Billing(StrEnum):
    """Whether the provider can have charged for a failed call. `unknown` is charged as an estimate."""

    UNKNOWN = "unknown"
    NOT_BILLED = "not_billed"
    BILLED = "billed"


class UsageSource(StrEnum):
    REPORTED = "reported"
    ESTIMATED = "estimated"


class CallPhase(StrEnum):
    UNKNOWN = "UNKNOWN"
    STARTED = "STARTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    RECONCILED = "RECONCILED"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one call.

    `input_tokens` is all input, cached tokens included, whatever the provider's own convention; `output_tokens` is all
    output, reasoning included; the other three are parts of them. `clamped`: the provider reported a count that
    cannot be, and it was clamped to a possible one.
    """

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    source: UsageSource = UsageSource.REPORTED
    clamped: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """What a model answered."""

    content: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    embeddings: tuple[tuple[float, ...], ...] = ()
    label: str | None = None
    response_model: str | None = None
    provider_response_id: str | None = None
    data_json: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call gave no answer. `retry_after_s` is what the provider asked for, in seconds, as it said it."""

    kind: FailureKind
    message: str
    billing: Billing = Billing.UNKNOWN
    http_status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallOrdered:
    """An order to make one provider call. Redelivery means: call again, under a new call_id."""

    request_id: str
    attempt: int
    tenant: str
    lane: str
    deployment: str
    provider: str
    model: str
    operation: Operation
    request: bytes
    input_tokens_estimate: int
    output_tokens_bound: int
    stream: bool
    timeout_ms: int
    ordered_at: datetime
    deadline: datetime
    arm: str | None = None
    hedge: bool = False


@dataclass(frozen=True, slots=True)
class Charged:
    """How a call stands in the ledger: the sum of its cost events.

    `sequence` is the number of the adjustment that is asked for, 1 for the first of the call. `cost_nanousd` is None when a
    price was unknown.
    """

    sequence: int
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanousd: int | None = None
    estimated: bool = False
    wasted: bool = False
    operation: Operation = Operation.UNKNOWN
    user: str | None = None
    response_model: str | None = None


@dataclass(frozen=True, slots=True)
class CallReported:
    """What became of one provider call: STARTED, then COMPLETED or FAILED.

    RECONCILED comes from no worker: `usage` is what the provider bills, None when it has no such call, `charged` how the
    ledger had it when it was read, and `reported_at` is not after that reading.
    """

    call_id: str
    phase: CallPhase
    request_id: str
    attempt: int
    tenant: str
    lane: str
    deployment: str
    provider: str
    model: str
    worker: str
    reported_at: datetime
    started_at: datetime | None = None
    lost_at: datetime | None = None
    input_tokens_estimate: int = 0
    output_tokens_bound: int = 0
    output: Output | None = None
    usage: Usage | None = None
    failure: Failure | None = None
    first_token_ms: int | None = None
    latency_ms: int | None = None
    charged: Charged | None = None
    arm: str | None = None
