"""Who is answered in time while one provider of three fails three calls in ten and one is not there, under limits a minute.

The failing provider is asked for more than it may take all the time. The good one has room for what is left, and for a burst in
the middle: with less, requests would wait for as long as the burst stands in its minute, which is longer than they have.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from choices_stages.asking import Answer, Asker
from choices_stages.figures import Figure, at_least, quantiles, told
from choices_stages.ground import Provider, Site, open_ground
from choices_stages.sizes import Sizes
from choices_stages.within import within_limits
from schemas.outcomes import ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Sampling

ASKED_SHARE = 0.999
DEADLINE_S = 30.0
PER_S = 22.0
BURST_SHARE = 0.08
MAX_OUTPUT_TOKENS = 100
_KINDS = ("http_500", "http_503", "http_429:1", "hang")
_EACH = 1 - 0.7 ** (1 / len(_KINDS))
"""Of what the rules before it leave: together three calls in ten."""
_ANSWERS = {"first_token_ms": {"median": 60, "sigma": 0.5}}
LIMITS: Mapping[str, Mapping[str, int]] = {
    "failing": {"requests_per_minute": 500, "tokens_per_minute": 50_000},
    "good": {"requests_per_minute": 1_500, "tokens_per_minute": 400_000},
    "gone": {"requests_per_minute": 500},
}
SITE = Site(
    {
        "failing": Provider({**_ANSWERS, "faults": [{"fault": kind, "rate": _EACH} for kind in _KINDS]}, timeout_s=2.0),
        "gone": Provider(None),
        "good": Provider(_ANSWERS),
    },
    policy="round-robin",
)
SITE = replace(SITE, providers={name: replace(found, limits=LIMITS[name]) for name, found in SITE.providers.items()})


async def measure(sizes: Sizes) -> list[Figure]:
    return [*await _measure(sizes, valkey=True), *await _measure(sizes, valkey=False)]


async def _measure(sizes: Sizes, *, valkey: bool) -> list[Figure]:
    name = "resilience_with_valkey" if valkey else "resilience_without_valkey"
    async with open_ground(replace(SITE, valkey=valkey)) as ground:
        answers = await _ask(ground.asker, sizes.resilience)
        await ground.check()
        return [*_in_time(name, answers), *within_limits(name, ground.calls(), LIMITS)]


async def _ask(asker: Asker, count: int) -> list[Answer]:
    """The load, and a burst beside it when half of it has been sent."""
    burst = int(count * BURST_SHARE)
    steady = count - burst

    async def steadily() -> list[Answer]:
        return await _dated_load(asker, "steady", steady, PER_S)

    async def at_once() -> list[Answer]:
        await asyncio.sleep(steady / PER_S / 2)
        return await _dated_load(asker, "burst", burst, 1_000.0)

    return [answer for answers in await asyncio.gather(steadily(), at_once()) for answer in answers]


async def _dated_load(asker: Asker, name: str, count: int, per_s: float) -> list[Answer]:
    begun = datetime.now(UTC)
    requests = [_request(name, number, begun + timedelta(seconds=number / per_s + DEADLINE_S)) for number in range(count)]
    return await asker.load(requests, per_s=per_s, within_s=DEADLINE_S + 60)


def _request(name: str, number: int, deadline: datetime) -> InferenceRequest:
    return InferenceRequest(
        request_id=f"{name}-{number}",
        tenant=f"tenant-{number % 8}",
        model="auto",
        messages=(Message("user", f"[[sim out=60]] Question {number} of {name}: what is the weather like on the moon today?"),),
        sampling=Sampling(max_output_tokens=MAX_OUTPUT_TOKENS),
        cache=CachePolicy(CacheMode.OFF),
        deadline=deadline,
    )


def _in_time(name: str, answers: list[Answer]) -> list[Figure]:
    """The dispatcher answers `ok` at the deadline at the latest: what comes later it answers `expired`."""
    ok = [answer for answer in answers if answer.response.status is ResponseStatus.OK]
    statuses = Counter(answer.response.status for answer in answers)
    attempts = Counter(answer.response.attempts for answer in answers)
    return [
        at_least(f"{name}_share", len(ok) / len(answers), ASKED_SHARE),
        told(f"{name}_requests", len(answers)),
        *(told(f"{name}_{status.value}", count) for status, count in statuses.items()),
        *quantiles(f"{name}_s", [answer.took_s for answer in ok], 0.5, 0.99, 1.0),
        told(f"{name}_attempts_most", max(attempts)),
    ]
