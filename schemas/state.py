"""The dispatcher's state as its changelog holds it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.calls import Failure
from schemas.ledger import CostTotal
from schemas.requests import Operation


class RequestPhase(StrEnum):
    UNKNOWN = "UNKNOWN"
    ORDERED = "ORDERED"
    PARKED = "PARKED"
    FINISHED = "FINISHED"
    FOLLOWING = "FOLLOWING"


@dataclass(frozen=True, slots=True)
class Awaited:
    """An order that is not yet reported as failed."""

    attempt: int
    candidate: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Until when a candidate asked not to be called again."""

    candidate: int
    until: datetime


@dataclass(frozen=True, slots=True)
class RequestState:
    """One request. `routed` is the RequestRouted record's value while the request is open, None once finished.

    `attempt` counts the orders, `sent` those that may have reached a provider; `tried` are the candidates (by index) that
    failed since the request was last parked, `excluded` those that can never answer it. `awaited` are the orders that are not
    yet reported as failed: one, and a hedge. `waits` are what candidates asked for, by a Retry-After or our limit.
    """

    phase: RequestPhase
    tenant: str
    request_id: str
    body_digest: bytes
    attempt: int
    candidate: int
    sent: int
    deadline: datetime
    tried: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    routed: bytes | None = None
    not_before: datetime | None = None
    cost_nanousd: int | None = None
    status: str = ""
    finished_at: datetime | None = None
    last_failure: Failure | None = None
    awaited: tuple[Awaited, ...] = ()
    hedge_at: datetime | None = None
    too_long: bool = False
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class CallState:
    """One started call whose outcome is not yet known; once it was charged as lost, when and with what."""

    call_id: str
    tenant: str
    request_id: str
    attempt: int
    lane: str
    deployment: str
    provider: str
    model: str
    operation: Operation
    started_at: datetime
    lost_at: datetime
    input_tokens_estimate: int
    output_tokens_bound: int
    user: str | None = None
    charged_at: datetime | None = None
    charged_nanousd: int | None = None
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class CircuitState:
    """One deployment as this lane partition's calls have found it. Open while `open_until` is set: then a call may probe."""

    deployment: str
    failures: int
    open_until: datetime | None = None
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class AdjustedState:
    """A call whose charge was adjusted to what the provider bills. `sequence` is the number of the last adjustment."""

    call_id: str
    sequence: int
    adjusted_at: datetime


@dataclass(frozen=True, slots=True)
class DispatchChange:
    """One change of the dispatcher's state: exactly one field is set."""

    request: RequestState | None = None
    call: CallState | None = None
    total: CostTotal | None = None
    circuit: CircuitState | None = None
    position: int | None = None
    adjusted: AdjustedState | None = None
