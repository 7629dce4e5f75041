"""How long it takes from a call's failure to the call of the next provider, when nobody asked for a wait."""

from choices_stages.failovers import Failover, failovers
from choices_stages.figures import Figure, at_least, at_most, quantile, quantiles, told
from choices_stages.ground import Ground, Provider, Site, open_ground
from choices_stages.sizes import Sizes
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences

ASKED_P99_MS = 50.0
PER_S = 40.0
_FIRST, _NEXT = "first", "next"
SITE = Site(
    {
        _FIRST: Provider({"faults": [{"fault": "http_503", "every": 8}, {"fault": "http_500", "every": 4}]}),
        _NEXT: Provider({}),
    }
)
"""Every fourth call of the first one fails: so often, and never so many in a row that its circuit opens."""
TENANTS = 7
"""No divisor of what fails: it is each tenant's turn."""


async def measure(sizes: Sizes) -> list[Figure]:
    async with open_ground(SITE) as ground:
        await ground.asker.load(_requests("warm", sizes.warm_up), per_s=PER_S, within_s=60)
        answers = await ground.asker.load(_requests("run", sizes.failover), per_s=PER_S, within_s=60)
        await ground.check()
        found = await _failovers(ground, {answer.response.request_id for answer in answers})
    to_next = [each.to_next_ms for each in found]
    return [
        at_least("failovers", len(found), sizes.failovers),
        at_most("failover_ms_p99", quantile(to_next, 0.99), ASKED_P99_MS, to_next),
        *(told(f"failover_ms_p{share}", quantile(to_next, share / 100)) for share in (50, 95)),
        *quantiles("failover_to_started_ms", [each.to_started_ms for each in found], 0.5, 0.99),
        *quantiles("failover_between_providers_ms", [each.between_providers_ms for each in found], 0.5, 0.99),
        *quantiles("failover_part_ordered_ms", [each.ordered_ms for each in found], 0.5, 0.99),
        *quantiles("failover_part_started_ms", [each.started_ms for each in found], 0.5, 0.99),
        *quantiles("failover_part_sent_ms", [each.sent_ms for each in found], 0.5, 0.99),
        told("failover_requests", len(answers)),
    ]


async def _failovers(ground: Ground, wanted: set[str]) -> list[Failover]:
    return failovers(await ground.reports(), await ground.orders((_FIRST, _NEXT)), ground.calls(), wanted)


def _requests(name: str, count: int) -> list[InferenceRequest]:
    return [
        InferenceRequest(
            request_id=f"{name}-{number}",
            tenant=f"tenant-{number % TENANTS}",
            model="auto",
            messages=(Message("user", f"[[sim out=16]] Question {number} of {name}"),),
            preferences=Preferences(providers=(_FIRST, _NEXT)),
            cache=CachePolicy(CacheMode.OFF),
        )
        for number in range(count)
    ]
