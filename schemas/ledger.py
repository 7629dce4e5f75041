"""Money: one cost event a started call, and absolute totals by hour. Amounts are integers of 1e-9 US dollars."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from schemas.calls import Usage
from schemas.requests import Operation


class PricingStatus(StrEnum):
    """`UNKNOWN`: no price is known, the cost is None, never 0. `NOT_BILLED`: nothing was charged."""

    UNKNOWN = "UNKNOWN"
    PRICED = "PRICED"
    NOT_BILLED = "NOT_BILLED"


class CostKind(StrEnum):
    UNKNOWN = "UNKNOWN"
    CALL = "CALL"
    CACHE_HIT = "CACHE_HIT"
    ADJUSTED = "ADJUSTED"


@dataclass(frozen=True, slots=True)
class CostEvent:
    """What one provider call cost, one cache hit avoided, or one call's charge changes by. Never edited.

    `estimated`: the provider's count is missing or the call was lost, and the counts are upper bounds. `wasted`: the
    call did not answer its request. `occurred_at` is the call's start, the time its price is taken at.
    `input_tokens_estimate` is the request's, before calibration: what calibration learns from.
    Of an adjustment, tokens and cost are what changes, and may be negative; `replaces_estimate`: the call no longer counts as
    an estimate.
    """

    event_id: str
    kind: CostKind
    request_id: str
    tenant: str
    lane: str
    provider: str
    deployment: str
    model: str
    occurred_at: datetime
    recorded_at: datetime
    call_id: str | None = None
    attempt: int = 0
    user: str | None = None
    response_model: str | None = None
    operation: Operation = Operation.UNKNOWN
    usage: Usage | None = None
    cost_nanousd: int | None = None
    pricing_status: PricingStatus = PricingStatus.UNKNOWN
    price_version: str | None = None
    estimated: bool = False
    wasted: bool = False
    avoided_nanousd: int | None = None
    provider_response_id: str | None = None
    replaces_estimate: bool = False
    served_by: str | None = None
    arm: str | None = None
    input_tokens_estimate: int | None = None


@dataclass(frozen=True, slots=True)
class CostTotal:
    """Absolute totals of one hour of one lane, provider and model. Calls whose price is unknown are not in the sum."""

    tenant: str
    lane: str
    provider: str
    model: str
    hour: datetime
    updated_at: datetime
    calls: int = 0
    cost_nanousd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    estimated_calls: int = 0
    wasted_calls: int = 0
    unpriced_calls: int = 0
    cache_hits: int = 0
    avoided_nanousd: int = 0
