"""What intake decided about a request: RequestRouted."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from schemas.calls import Output, Usage
from schemas.outcomes import ErrorInfo
from schemas.requests import Operation
from schemas.semantic import Comparison


class CandidateUse(StrEnum):
    """`fallback`: when no other is left. `context`: when another said that the input is too long."""

    ALWAYS = "always"
    FALLBACK = "fallback"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that can take the request. `input_tokens_bound` None: the request's estimate is the bound."""

    deployment: str
    provider: str
    model: str
    timeout_ms: int
    output_tokens_bound: int
    cost_bound_nanousd: int | None = None
    context_tokens: int = 0
    use: CandidateUse = CandidateUse.ALWAYS
    score: float | None = None
    input_tokens_bound: int | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """What routing found about one deployment: its score and what that was made of, or what it lacks."""

    deployment: str
    score: float | None = None
    parts: dict[str, float] = field(default_factory=dict)
    lack: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An earlier answer to the same request of the same tenant, or, with `similarity`, to a similar one."""

    output: Output
    provider: str
    deployment: str
    model: str
    stored_at: datetime
    usage: Usage | None = None
    cost_nanousd: int | None = None
    request_id: str | None = None
    similarity: float | None = None


@dataclass(frozen=True, slots=True)
class Fallback:
    """What answers when no provider does: `cached` if given, else `text`."""

    cached: CachedAnswer | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RequestRouted:
    """A request, classified and routed: its candidates best first, or its cached answer, or why it is rejected."""

    request_id: str
    tenant: str
    lane: str
    request: bytes
    body_digest: bytes
    request_model: str
    task_kind: str
    complexity: str
    input_tokens_estimate: int
    policy: str
    received_at: datetime
    routed_at: datetime
    deadline: datetime
    user: str | None = None
    session: str | None = None
    operation: Operation = Operation.UNKNOWN
    stream: bool = False
    candidates: tuple[Candidate, ...] = ()
    cache_key: str | None = None
    cache_ttl_s: int | None = None
    cached: CachedAnswer | None = None
    rejection: ErrorInfo | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    task_confidence: float = 0.0
    language: str = "und"
    sensitivity: tuple[str, ...] = ()
    classifier: str = ""
    arm: str | None = None
    scores: tuple[Scored, ...] = ()
    flight_key: str | None = None
    hedge_after_ms: int | None = None
    fallback: Fallback | None = None
    compare: Comparison | None = None
