"""F17: streams that are cut, doubled, reordered, or sent in odd pieces. What cannot be trusted fails and is not kept."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import redis.asyncio

from schemas.calls import Billing, FailureKind
from schemas.outcomes import InferenceResponse
from streams.simulator.text import text_of
from streams.stores.valkey_cache import KEY_PREFIX
from tests.fault.case import ANTHROPIC, CALM, OPENAI, PROVIDERS, Case, Observed
from tests.fault.cases._asking import Asking, answers, not_answered, not_in_time
from tests.fault.load import Load, mixed
from tests.fault.rig import Rig

EACH, OUT, DEADLINE_S = 4, 40, 4.0
SENTENCES = 16
"""More than the simulator's text has: the same answer begins at one of them."""
BROKEN = {
    "truncated_stream": FailureKind.INTERRUPTED,
    "eof_mid_body": FailureKind.INTERRUPTED,
    "reset_mid_body": FailureKind.INTERRUPTED,
    "duplicate_events": FailureKind.MALFORMED_REPLY,
    "late_content": FailureKind.MALFORMED_REPLY,
}
"""What makes no answer, and its name."""
WHOLE = ("missing_done", "split_utf8", "crlf")
"""Streams with nothing missing of the answer. The last word comes after the finish reason: without it the answer is whole."""
ONCE = "truncated_stream"


@dataclass(frozen=True, slots=True)
class Sent:
    """A load of streams of one kind at one provider."""

    fault: str
    provider: str
    load: Load


async def odd_streams(rig: Rig) -> Observed:
    """Streams with each fault at each provider, among others; then ones that break once and are whole when called again."""
    sent: list[Sent] = []
    async with rig.load(100_000, per_s=15, make=mixed) as others:
        await rig.flowing(20)
        for provider in PROVIDERS:
            for fault in (*BROKEN, *WHOLE):
                deadline_s = DEADLINE_S if fault in BROKEN else None
                make = Asking(provider, fault=fault, out=OUT, stream=True, cached=True, deadline_s=deadline_s)
                async with rig.load(EACH, per_s=50, make=make) as load:
                    sent.append(Sent(fault, provider, load))
        await rig.caught_up(time.time())
        for provider in PROVIDERS:
            await rig.profile(provider, {**CALM, "faults": [{"fault": ONCE, "first": 5}]})
        async with rig.load(40, per_s=50, make=Asking(out=OUT, stream=True, cached=True, providers=(OPENAI, ANTHROPIC))) as once:
            pass
        await rig.caught_up(time.time())
        others.stop()
    observed = await rig.conclude(duplicates_at_most=0, deaths=0)
    broken, whole = [s for s in sent if s.fault in BROKEN], [s for s in sent if s.fault in WHOLE]
    right = [answer for s in whole for answer in answers(rig, s.load)] + answers(rig, once)
    return observed.also(
        *not_answered(rig, others, "other requests"),
        *(p for s in whole for p in not_answered(rig, s.load, f"streams of {s.provider} with {s.fault}")),
        *not_answered(rig, once, "streams that broke once"),
        *(p for s in broken for p in not_in_time(rig, s.load, DEADLINE_S, f"{s.provider}, {s.fault}", all_expire=True)),
        *(p for s in broken for p in _failures(rig, s)),
        *_wrong_text(rig, right),
        *await _kept_wrongly(rig, [a for s in broken for a in answers(rig, s.load)]),
        *await _not_kept(rig, right),
        "" if any(c.fault == ONCE and c.request_id in once.sent_at for c in rig.provider_calls()) else "no stream broke once",
        notes=(f"{sum(len(rig.seen.call_ids_of(r)) for s in broken for r in s.load.sent_at)} broken streams",),
    )


def _failures(rig: Rig, sent: Sent) -> list[str]:
    """Each call of a broken stream has its name, may have been billed, and is charged so; none was taken for an answer."""
    problems = []
    for request_id in sent.load.sent_at:
        for call_id in rig.seen.call_ids_of(request_id):
            failure = rig.seen.ended[call_id].failure
            lines = [e for e in rig.seen.costs[request_id] if e.call_id == call_id]
            if failure is None:
                problems.append(f"{sent.provider}, {sent.fault}: taken for an answer")
            elif failure.kind is FailureKind.TIMED_OUT or (failure.kind is FailureKind.EXPIRED and not lines):
                continue  # the deadline was faster
            elif failure.kind is not BROKEN[sent.fault] or failure.billing is Billing.NOT_BILLED:
                problems.append(f"{sent.provider}, {sent.fault}: reported as {failure}")
            elif [e.wasted for e in lines] != [True]:
                problems.append(f"{sent.provider}, {sent.fault}: charged as {lines}")
    return problems[:2]


def _wrong_text(rig: Rig, right: Sequence[InferenceResponse]) -> list[str]:
    """Answers, and their chunks put together, are what the model said."""
    said = {text_of(OUT, seed=seed) for seed in range(SENTENCES)}
    problems = []
    for answer in right:
        content = answer.output.content if answer.output else None
        chunks = sorted(rig.seen.chunks[str(answer.call_id)], key=lambda chunk: chunk.seq)
        if content not in said:
            problems.append(f"{answer.request_id} was answered {content!r}, which the model did not say")
        elif chunks and "".join(c.content or "" for c in chunks) != content:
            problems.append(f"the chunks of {answer.request_id} are not its answer")
    return problems[:2]


async def _kept_wrongly(rig: Rig, broken: Sequence[InferenceResponse]) -> list[str]:
    kept = await _kept(rig, broken)
    return [f"{len(kept)} broken streams are kept in the cache, {kept[0]} for one"] if kept else []


async def _not_kept(rig: Rig, right: Sequence[InferenceResponse]) -> list[str]:
    """What is whole is kept: a look into the cache that finds nothing at all would prove nothing."""
    give_up = time.monotonic() + 5
    while len(kept := await _kept(rig, right)) < len(right):
        if time.monotonic() > give_up:
            return [f"{len(right) - len(kept)} of {len(right)} whole answers are not kept"]
        await asyncio.sleep(0.2)
    return []


async def _kept(rig: Rig, of: Sequence[InferenceResponse]) -> list[str]:
    """The requests whose answer stands in Valkey."""
    client = redis.asyncio.Redis.from_url(str(rig.stack.settings.redis_url))
    try:
        return [a.request_id for a in of if a.cache_key is not None and await client.exists(KEY_PREFIX + a.cache_key)]
    finally:
        await client.aclose()


CASES = [Case("F17", "streams cut, doubled, reordered, in odd pieces", odd_streams)]
