"""What a repeat takes from end to end, served by the cache, against the same request at a provider of 200 ms."""

import asyncio

from choices_stages.asking import Answer, Asker
from choices_stages.figures import Figure, at_least, quantile, told
from choices_stages.ground import Provider, Site, open_ground
from choices_stages.sizes import Sizes
from schemas.outcomes import CacheState
from schemas.requests import InferenceRequest, Message

ASKED_RATIO = 5.0
PROVIDER_MS = 200
QUESTIONS = 20
WITHIN_S = 300.0
_KEPT_WITHIN_S = 30.0
_FLIGHTS_OVER_S = 2.5
"""The dispatcher itself gives an answer again for two seconds; after them it is the cache that serves."""
SITE = Site({"slow": Provider({"first_token_ms": PROVIDER_MS})})


async def measure(sizes: Sizes) -> list[Figure]:
    async with open_ground(SITE) as ground:
        asker, figures = ground.asker, []
        await asker.in_turn([_request("warm", n, n) for n in range(sizes.warm_up)], in_flight=8, within_s=WITHIN_S)
        await _keep(asker)
        for in_flight in (1, 8):
            tag = f"c{in_flight}"
            first = [_request(f"first-{tag}", number, number) for number in range(sizes.first_asked)]
            again = [_request(f"again-{tag}", number, number % QUESTIONS, kept=True) for number in range(sizes.repeats)]
            called = await asker.in_turn(first, in_flight=in_flight, within_s=WITHIN_S)
            served = await asker.in_turn(again, in_flight=in_flight, within_s=WITHIN_S)
            figures += _compared(tag, called, served)
        await ground.check()
    return figures


async def _keep(asker: Asker) -> None:
    """Return when every intake process has the kept questions at hand. Raises TimeoutError."""
    async with asyncio.timeout(_KEPT_WITHIN_S):
        for turn in range(3):
            await asker.in_turn([_request(f"kept-{turn}", n, n, kept=True) for n in range(QUESTIONS)], in_flight=8, within_s=60)
            await asyncio.sleep(_FLIGHTS_OVER_S)


def _compared(tag: str, called: list[Answer], served: list[Answer]) -> list[Figure]:
    """Raises RuntimeError when what was to be called was not, or what was to be served was called."""
    for answers, wanted in ((called, CacheState.MISS), (served, CacheState.HIT)):
        if others := [answer.response for answer in answers if answer.response.cache is not wanted]:
            raise RuntimeError(f"{len(others)} of {len(answers)} answers are no {wanted.value}: {others[0]}")
    called_ms, served_ms = ([answer.took_s * 1000 for answer in answers] for answers in (called, served))
    return [
        at_least(f"exact_hit_ratio_{tag}", quantile(called_ms, 0.5) / quantile(served_ms, 0.5), ASKED_RATIO),
        told(f"exact_hit_called_ms_p50_{tag}", quantile(called_ms, 0.5), called_ms),
        told(f"exact_hit_served_ms_p50_{tag}", quantile(served_ms, 0.5), served_ms),
        told(f"exact_hit_served_ms_p99_{tag}", quantile(served_ms, 0.99)),
    ]


def _request(name: str, number: int, question: int, *, kept: bool = False) -> InferenceRequest:
    """The tenant goes with the question, so that a repeat meets the kept answer, and both partitions have their part."""
    asked = "kept" if kept else name
    return InferenceRequest(
        request_id=f"{name}-{number}",
        tenant=f"tenant-{question % 8}",
        model="auto",
        messages=(Message("user", f"[[sim out=64]] Question {question} of {asked}"),),
    )
