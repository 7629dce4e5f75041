"""How many requests of a workload that repeats itself are served without a call, by whom, and whether our own count agrees."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from datetime import UTC, datetime

import aiohttp
from machine import ROOT

from choices_stages.asking import Answer
from choices_stages.figures import Figure, at_least, at_most, told
from choices_stages.ground import Ground, Provider, Site, open_ground
from choices_stages.sizes import Sizes
from choices_stages.workload import questions
from schemas.outcomes import CacheState
from schemas.requests import InferenceRequest, Message

ASKED_SHARE = 0.6
REPEAT_SHARE = 0.7
PER_S = 50.0
SITE = Site({"slow": Provider({"first_token_ms": {"median": 200, "sigma": 0.4}})})
_LOOK_UPS = re.compile(r'^penstock_cache_look_ups_total\{tier="(\w+)"\} (\S+)$', re.MULTILINE)


async def measure(sizes: Sizes) -> list[Figure]:
    async with open_ground(SITE) as ground:
        await ground.asker.load(_requests("warm", sizes.warm_up), per_s=PER_S, within_s=60)
        before, since = await _look_ups(ground), datetime.now(UTC)
        await asyncio.sleep(0.01)
        requests = _requests("run", sizes.hit_rate)
        answers = await ground.asker.load(requests, per_s=PER_S, within_s=60)
        tiers = await _look_ups(ground) - before
        own = await _own_count(ground, since)
        await ground.check()
    return _figures(requests, answers, tiers, own)


def _figures(requests: list[InferenceRequest], answers: list[Answer], tiers: Counter[str], own: dict[str, float]) -> list[Figure]:
    states = Counter(answer.response.cache for answer in answers)
    served = sum(count for state, count in states.items() if state.served)
    asked = {(request.tenant, request.messages) for request in requests}
    differing = sum(abs(own[state.value] - states[state]) for state in CacheState)
    return [
        at_least("hit_rate", served / len(answers), ASKED_SHARE),
        told("hit_rate_repeat_share", 1 - len(asked) / len(requests)),
        told("hit_rate_requests", len(answers)),
        told("hit_rate_served_l1", tiers["l1"] / len(answers)),
        told("hit_rate_served_l2", tiers["l2"] / len(answers)),
        told("hit_rate_served_dispatcher", (states[CacheState.HIT] - tiers["l1"] - tiers["l2"]) / len(answers)),
        told("hit_rate_served_in_flight", states[CacheState.SHARED] / len(answers)),
        told("hit_rate_called", states[CacheState.MISS] / len(answers)),
        told("hit_rate_own_count", own["hit_rate"]),
        at_most("hit_rate_counted_otherwise", differing, 0),
    ]


async def _own_count(ground: Ground, since: datetime) -> dict[str, float]:
    """What `penstock cache stats` says of the answers since then."""
    servers = ("--bootstrap-servers", ground.stack.bootstrap_servers)
    command = ("-m", "streams.cli.main", "cache", "stats", "--json", "--since", since.isoformat(), *servers)
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, cwd=ROOT)
    said, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"`penstock cache stats` ended with exit code {process.returncode}; see its message above")
    own: dict[str, float] = json.loads(said)
    return own


async def _look_ups(ground: Ground) -> Counter[str]:
    """Look-ups of all intake processes so far, by where they ended, as their metrics tell them."""
    found: Counter[str] = Counter()
    intakes = [part for name, part in ground.stack.info.parts.items() if name.startswith("intake-")]
    async with aiohttp.ClientSession() as session:
        for part in intakes:
            async with session.get(str(part.address)) as reply:
                for tier, count in _LOOK_UPS.findall(await reply.text()):
                    found[tier] += int(float(count))
    return found


def _requests(name: str, count: int) -> list[InferenceRequest]:
    return [
        InferenceRequest(
            request_id=f"{name}-{number}",
            tenant=tenant,
            model="auto",
            messages=(Message("user", f"[[sim out=64]] Question {question} of {name}"),),
        )
        for number, (tenant, question) in enumerate(questions(count, repeat_share=REPEAT_SHARE))
    ]
