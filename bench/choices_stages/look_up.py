"""CPU time of a hit in the first level of the answer cache, by what intake calls for it; the seal's check beside it.

The seal is checked when an entry comes from Valkey into the first level, and never again. The figure counts it for every hit,
as if each had to.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from choices_stages.figures import Figure, at_most, quantile, told
from choices_stages.ground import Provider, Site, open_ground
from choices_stages.sizes import Sizes
from processors.cache.answer import recall
from processors.cache.key import identify
from processors.cache.seal import seal, unseal
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest, Message
from schemas.serde import Serde
from streams.stores.secret import cache_secret
from streams.stores.valkey_cache import AnswerCache, open_cache

ASKED_US = 20.0
CALLS = 2_000
TENANT = "tenant-0"
SITE = Site({"fast": Provider({})})


@dataclass(frozen=True, slots=True)
class _Kept:
    """A kept answer as the pipeline wrote it, and all that a look-up of it takes."""

    request: InferenceRequest
    answer: InferenceResponse
    key: str
    value: bytes
    sealed: bytes
    secret: bytes


async def measure(sizes: Sizes) -> list[Figure]:
    async with open_ground(SITE) as ground:
        settings, serde = ground.stack.settings, Serde()
        request = InferenceRequest("kept", TENANT, "auto", messages=(Message("user", "[[sim out=64]] What is a penstock?"),))
        answer = (await ground.asker.ask(request)).response
        key, value = str(answer.cache_key), serde.of(InferenceResponse).encode(answer)
        secret = cache_secret(settings)
        kept = _Kept(request, answer, key, value, seal(secret, key, value), secret)
        async with open_cache(settings, serde) as cache:
            await cache.store([(answer, value)])
            return await _measured(cache, kept, sizes)


async def _measured(cache: AnswerCache, kept: _Kept, sizes: Sizes) -> list[Figure]:
    hits, seals, names = [], [], []
    for _ in range(sizes.look_up_rounds):
        hits.append(await _hit_us(cache, kept))
        seals.append(_per_call_us(lambda: unseal(kept.secret, kept.key, kept.sealed)))
        names.append(_per_call_us(lambda: identify(kept.request)))
    both = [hit + checked for hit, checked in zip(hits, seals, strict=True)]
    return [
        at_most("l1_hit_us", quantile(both, 0.5), ASKED_US, both),
        told("l1_hit_without_seal_us", quantile(hits, 0.5), hits),
        told("l1_seal_us", quantile(seals, 0.5), seals),
        told("l1_cache_key_us", quantile(names, 0.5), names),
        told("l1_entry_bytes", len(kept.sealed)),
    ]


async def _hit_us(cache: AnswerCache, kept: _Kept) -> float:
    """Of one request alone, which is the dearest: a batch shares the call. Raises RuntimeError when one was no hit there."""
    keys, now = [kept.key], datetime.now(UTC)
    await cache.look_up(keys)
    hits = cache.counts.l1_hits
    begun_s = time.thread_time()
    for _ in range(CALLS):
        (found,) = await cache.look_up(keys)
        if found is None or recall(found, tenant=TENANT, cache_key=kept.key, model=None, now=now) is None:
            raise RuntimeError("a kept answer was not found")
    took_s = time.thread_time() - begun_s
    if cache.counts.l1_hits - hits != CALLS:
        raise RuntimeError(f"not every look-up ended in the first level: {cache.counts}")
    return took_s / CALLS * 1e6


def _per_call_us(call: Callable[[], object]) -> float:
    begun_s = time.thread_time()
    for _ in range(CALLS):
        call()
    return (time.thread_time() - begun_s) / CALLS * 1e6
