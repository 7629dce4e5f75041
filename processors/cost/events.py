"""Cost events: one a started call, one a cache hit."""

from datetime import datetime

from processors.cost.prices import PriceBook, Priced
from schemas.calls import Billing, CallReported, Usage, UsageSource
from schemas.ledger import CostEvent, CostKind, PricingStatus
from schemas.routing import RequestRouted
from schemas.state import CallState

_NOT_BILLED = Priced(0, PricingStatus.NOT_BILLED, price_version="")


def for_call(
    call: CallState,
    prices: PriceBook,
    *,
    usage: Usage | None,
    billing: Billing = Billing.BILLED,
    response_model: str | None = None,
    provider_response_id: str | None = None,
    wasted: bool = False,
    input_tokens_estimate: int | None = None,
    now: datetime,
) -> CostEvent:
    """The one cost event of a started call, priced as of its start.

    What the provider cannot have charged for (`NOT_BILLED`) costs a true 0. Otherwise missing usage is estimated by the call's
    upper bounds, and the event says `estimated`; explicit zero usage stays 0. The price is that of the model asked for; of
    the model that answered, when only that one has a known price.
    """
    if billing is Billing.NOT_BILLED:
        priced = _NOT_BILLED
    else:
        usage = usage or Usage(call.input_tokens_estimate, call.output_tokens_bound, source=UsageSource.ESTIMATED)
        priced = price(prices, usage, call, response_model, at=call.started_at)
    return CostEvent(
        event_id=call.call_id,
        kind=CostKind.CALL,
        call_id=call.call_id,
        request_id=call.request_id,
        attempt=call.attempt,
        tenant=call.tenant,
        lane=call.lane,
        user=call.user,
        provider=call.provider,
        deployment=call.deployment,
        model=call.model,
        response_model=response_model,
        operation=call.operation,
        usage=usage,
        cost_nanousd=priced.cost_nanousd,
        pricing_status=priced.status,
        price_version=priced.price_version or None,
        estimated=usage is not None and usage.source is UsageSource.ESTIMATED,
        wasted=wasted,
        occurred_at=call.started_at,
        recorded_at=now,
        provider_response_id=provider_response_id,
        arm=call.arm,
        input_tokens_estimate=input_tokens_estimate,
    )


def for_cache_hit(routed: RequestRouted, *, now: datetime) -> CostEvent:
    """The cost event of an answer from the cache: 0, with what the hit avoided. Raises ValueError when nothing was cached.

    It occurs when the request was received, so that a replay puts it into the same hour.
    """
    if (cached := routed.cached) is None:
        raise ValueError(f"request {routed.request_id} of {routed.tenant} has no cached answer")
    return CostEvent(
        event_id=f"cache/{routed.tenant}/{routed.request_id}",
        kind=CostKind.CACHE_HIT,
        request_id=routed.request_id,
        tenant=routed.tenant,
        lane=routed.lane,
        user=routed.user,
        provider=cached.provider,
        deployment=cached.deployment,
        model=cached.model,
        response_model=cached.output.response_model,
        operation=routed.operation,
        cost_nanousd=0,
        pricing_status=PricingStatus.NOT_BILLED,
        avoided_nanousd=cached.cost_nanousd,
        served_by=cached.request_id,
        arm=routed.arm,
        occurred_at=routed.received_at,
        recorded_at=now,
    )


def price(prices: PriceBook, usage: Usage, call: CallState | CallReported, response_model: str | None, *, at: datetime) -> Priced:
    """The price of the model asked for; of the model that answered, when only that one has a known price."""
    asked = prices.price(usage, provider=call.provider, model=call.model, deployment=call.deployment, at=at)
    if asked.cost_nanousd is not None or response_model is None or response_model == call.model:
        return asked
    return prices.price(usage, provider=call.provider, model=response_model, deployment=call.deployment, at=at)
