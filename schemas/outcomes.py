"""What came out for the sender: the final response, chunks, and what could not be processed."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.calls import Output, Usage
from schemas.ledger import PricingStatus
from schemas.requests import Operation
from schemas.semantic import Comparison


class ResponseStatus(StrEnum):
    UNKNOWN = "unknown"
    OK = "ok"
    ERROR = "error"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    FALLBACK = "fallback"


class CacheState(StrEnum):
    NONE = "none"
    HIT = "hit"
    MISS = "miss"
    SEMANTIC = "semantic"
    SHARED = "shared"

    @property
    def served(self) -> bool:
        """Whether the request was answered without a call of its own."""
        return self in {CacheState.HIT, CacheState.SEMANTIC, CacheState.SHARED}


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """Why a request has no answer. The message is for the sender and says what to do next."""

    kind: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """The answer to a request. Exactly one a request has `final` true; the others are notices about an id sent again."""

    request_id: str
    tenant: str
    final: bool
    status: ResponseStatus
    request_model: str
    attempts: int
    task_kind: str
    policy: str
    received_at: datetime
    answered_at: datetime
    user: str | None = None
    session: str | None = None
    operation: Operation = Operation.UNKNOWN
    output: Output | None = None
    error: ErrorInfo | None = None
    usage: Usage | None = None
    cost_nanousd: int | None = None
    pricing_status: PricingStatus = PricingStatus.UNKNOWN
    provider: str | None = None
    deployment: str | None = None
    response_model: str | None = None
    call_id: str | None = None
    cache: CacheState = CacheState.NONE
    cache_key: str | None = None
    cache_ttl_s: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    served_by: str | None = None
    similarity: float | None = None
    arm: str | None = None
    compare: Comparison | None = None


@dataclass(frozen=True, slots=True)
class ResponseChunk:
    """A piece of a streamed answer, ordered by (call_id, seq): early and best-effort."""

    request_id: str
    tenant: str
    call_id: str
    attempt: int
    seq: int
    emitted_at: datetime
    content: str | None = None
    reasoning: str | None = None
    tool_calls_json: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    last: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be processed, with the first 256 KiB of its raw bytes."""

    topic: str
    partition: int
    offset: int
    stage: str
    reason: str
    message: str
    value: bytes
    value_size: int
    timestamp: datetime
    seen_at: datetime
    key: bytes | None = None
    truncated: bool = False
    headers: dict[str, bytes] = field(default_factory=dict)
    request_id: str | None = None
    tenant: str | None = None
