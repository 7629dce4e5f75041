"""Whether limits a minute hold over several workers when the load does its worst: little for a while, then more than is allowed.

One provider is limited in calls, one in tokens. Who is not called in time is answered `expired`, and nothing is asked of that.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from choices_stages.asking import Answer, Asker
from choices_stages.figures import Figure, told
from choices_stages.ground import Provider, Site, open_ground
from choices_stages.sizes import Sizes
from choices_stages.within import within_limits
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences, Sampling

DEADLINE_S = 4.0
TOKENS = 100
LIMITS: Mapping[str, Mapping[str, int]] = {
    "by_calls": {"requests_per_minute": 300},
    "by_tokens": {"tokens_per_minute": 300 * 2 * TOKENS},
}
SITE = Site({name: Provider({"first_token_ms": 20}, limits) for name, limits in LIMITS.items()})


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many requests a second to each provider, for so long."""

    per_s: float
    seconds: float


QUIET, RUSH, BUSY = Stretch(1, 40), Stretch(25, 20), Stretch(8, 50)
"""The rush falls into the last third of the first minute, where a count by halves of windows would have half forgotten it."""


async def measure(sizes: Sizes) -> list[Figure]:
    stretches = (QUIET, RUSH, BUSY) if sizes.whole_minutes else (RUSH,)
    return [*await _measure(stretches, valkey=True), *await _measure(stretches, valkey=False)]


async def _measure(stretches: tuple[Stretch, ...], *, valkey: bool) -> list[Figure]:
    name = "limits_with_valkey" if valkey else "limits_without_valkey"
    async with open_ground(replace(SITE, valkey=valkey)) as ground:
        asked = await asyncio.gather(*(_ask(ground.asker, provider, stretches) for provider in LIMITS))
        await ground.check()
        statuses = Counter(answer.response.status.value for answers in asked for answer in answers)
        return [
            *within_limits(name, ground.calls(), LIMITS),
            *(told(f"{name}_{status}", count) for status, count in sorted(statuses.items())),
        ]


async def _ask(asker: Asker, provider: str, stretches: tuple[Stretch, ...]) -> list[Answer]:
    """One stretch after the other, whatever comes back of those before."""
    begins_s, loads = 0.0, []
    for number, stretch in enumerate(stretches):
        loads.append(asyncio.create_task(_stretch(asker, f"{provider}-{number}", provider, stretch, begins_s)))
        begins_s += stretch.seconds
    return [answer for answers in await asyncio.gather(*loads) for answer in answers]


async def _stretch(asker: Asker, name: str, provider: str, stretch: Stretch, begins_s: float) -> list[Answer]:
    await asyncio.sleep(begins_s)
    begun, count = datetime.now(UTC), int(stretch.per_s * stretch.seconds)
    requests = [
        InferenceRequest(
            request_id=f"{name}-{number}",
            tenant=f"tenant-{number % 8}",
            model="auto",
            messages=(Message("user", f"[[sim in={TOKENS} out={TOKENS}]] Question {number} of {name}"),),
            preferences=Preferences(provider=provider),
            sampling=Sampling(max_output_tokens=TOKENS),
            cache=CachePolicy(CacheMode.OFF),
            deadline=begun + timedelta(seconds=number / stretch.per_s + DEADLINE_S),
        )
        for number in range(count)
    ]
    return await asker.load(requests, per_s=stretch.per_s, within_s=DEADLINE_S + 60)
