"""Adjustments of the ledger: what a call's charge changes by when the provider bills something else."""

from datetime import datetime

from processors.cost.events import price
from processors.cost.prices import PriceBook, Priced
from schemas.calls import CallReported, Charged, Usage
from schemas.ledger import CostEvent, CostKind, PricingStatus

_NOTHING = Usage(0, 0)
_FREE = Priced(0, PricingStatus.NOT_BILLED, price_version="")


def for_call(report: CallReported, charged: Charged, prices: PriceBook, *, started_at: datetime, now: datetime) -> CostEvent:
    """The event whose tokens and cost, added to what was charged, give what the provider bills.

    A call that the provider does not have costs nothing. An unknown price, then or now, leaves the cost unknown. It occurs
    when the call started, so that it is priced as of then and lands in the hour that was charged.
    """
    actual = report.usage or _NOTHING
    priced = _FREE if report.usage is None else price(prices, actual, report, charged.response_model, at=started_at)
    change = _change(priced.cost_nanousd, charged.cost_nanousd)
    return CostEvent(
        event_id=f"{report.call_id}/adjusted/{charged.sequence}",
        kind=CostKind.ADJUSTED,
        call_id=report.call_id,
        request_id=report.request_id,
        attempt=report.attempt,
        tenant=report.tenant,
        lane=report.lane,
        user=charged.user,
        provider=report.provider,
        deployment=report.deployment,
        model=report.model,
        response_model=charged.response_model,
        operation=charged.operation,
        usage=difference(actual, charged),
        cost_nanousd=change,
        pricing_status=PricingStatus.UNKNOWN if change is None else PricingStatus.PRICED,
        price_version=priced.price_version or None,
        wasted=charged.wasted,
        occurred_at=started_at,
        recorded_at=now,
        replaces_estimate=charged.estimated,
    )


def difference(actual: Usage, charged: Charged) -> Usage:
    """What must be added to the charged tokens to give the actual ones; parts may be negative."""
    return Usage(
        input_tokens=actual.input_tokens - charged.input_tokens,
        output_tokens=actual.output_tokens - charged.output_tokens,
        cache_read_input_tokens=actual.cache_read_input_tokens - charged.cache_read_input_tokens,
        cache_write_input_tokens=actual.cache_write_input_tokens - charged.cache_write_input_tokens,
        reasoning_tokens=actual.reasoning_tokens - charged.reasoning_tokens,
    )


def _change(actual: int | None, charged: int | None) -> int | None:
    return None if actual is None or charged is None else actual - charged
