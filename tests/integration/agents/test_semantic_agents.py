"""The semantic cache learns from answers, over a restart; and a similar answer stands in when no provider answers."""

import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from processors.cache.key import identify
from processors.cache.semantic.decide import EXPLORED_SHARE
from processors.classify import decide as classify
from schemas.outcomes import CacheState, InferenceResponse, ResponseStatus
from schemas.requests import InferenceRequest, Sampling
from schemas.routing import RequestRouted
from schemas.semantic import Agreement, SemanticEntry
from streams import topics
from streams.agents import intake, tables
from streams.agents.cache_fill import CacheFill, open_fill
from streams.agents.routing import load_plan
from streams.agents.semantic import SemanticCache, open_semantic
from streams.catalogue import callable_deployments
from streams.dispatcher import role as dispatcher
from streams.embedding.wordllama import WordLlama
from streams.faust_host import Delivered
from streams.prices import load_prices
from streams.publisher import Outgoing
from streams.runtime import Runtime, open_runtime
from streams.settings import Settings
from streams.stores.valkey_cache import open_cache
from streams.workers import provider
from tests.integration.agents.conftest import Log, attempts, publish, running
from tests.integration.agents.test_intake_agent import answer_to, outgoing, request_of, routed_of

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topics_made")]

CAPITAL, REWORDED = "What is the capital of France?", "What's the capital of France?"
EXACT = Sampling(temperature=0.0)
STRICT = 0.0001
"""A bound so tight that the calibration has too few questions to serve anything."""


def catalogue_of(settings: Settings, tmp_path: Path, tenant: str, *, error_bound: float) -> Settings:
    """One provider where nobody listens, and a policy that falls back on similar answers."""
    path = tmp_path / "deployments.yaml"
    path.write_text(
        "providers: {openai: {kind: openai, address: http://127.0.0.1:1/v1}}\n"
        "deployments: [{provider: openai, model: m}]\n"
        f"tenants: {{{tenant}: {{semantic_cache: {{error_bound: {error_bound}}}}}}}\n"
        "routing:\n"
        "  policies: {helpful: {version: 1, fallbacks: {similar: true}}}\n"
        "  default: helpful\n"
    )
    return settings.model_copy(update={"deployments_file": path, "data_dir": tmp_path})


def id_drawn(tenant: str, *, explored: bool) -> str:
    """A request id that intake asks all the same, or one that it does not."""
    ids = (f"{tenant}-{number}" for number in count())
    return next(each for each in ids if (zlib.crc32(each.encode()) / 2**32 < EXPLORED_SHARE) == explored)


def asking(tenant: str, request_id: str, text: str) -> InferenceRequest:
    return request_of(tenant, request_id, text, sampling=EXACT)


@asynccontextmanager
async def filling(settings: Settings, runtime: Runtime) -> AsyncIterator[CacheFill]:
    async with open_cache(settings, runtime.serde) as cache:
        yield open_fill(runtime, cache)


def delivered(runtime: Runtime, response: InferenceResponse) -> Delivered:
    message = SimpleNamespace(value=runtime.serde.encode(response), partition=0, offset=0)
    return Delivered(SimpleNamespace(message=message))


@asynccontextmanager
async def fresh(settings: Settings) -> AsyncIterator[SemanticCache]:
    """What an intake process knows that has just started."""
    embedder = WordLlama()
    async with open_runtime(settings, "intake") as runtime:
        deployments = callable_deployments(runtime.catalogue, settings, {})
        plan = load_plan(settings, runtime.catalogue, deployments, load_prices(settings, runtime.catalogue))
        async with open_semantic(runtime, embedder, plan) as semantic:
            assert semantic is not None
            yield semantic


async def served(settings: Settings, request: InferenceRequest) -> bool:
    async with fresh(settings) as semantic:
        (classified,) = classify.judge([classify.read(request)], WordLlama())
        beside = semantic.beside(classified, identify(request).cache_key or "")
        assert beside is not None
        return beside.serves


async def entries_of(runtime: Runtime, tenant: str, count_: int, *, compared: bool) -> list[Any]:
    return await Log(runtime.settings, runtime.serde).read(
        topics.SEMANTIC,
        SemanticEntry,
        where=lambda e: e.tenant == tenant and (e.compared is not None) == compared,
        count=count_,
    )


@pytest.mark.parametrize(
    ("own", "agreement"),
    [
        pytest.param("Berlin", Agreement.DIFFERENT, id="the kept answer would not have done"),
        pytest.param("paris.", Agreement.SAME, id="the kept answer would have done"),
    ],
)
async def test_an_answer_that_was_asked_for_all_the_same_teaches_every_intake(
    settings: Settings, tenant: str, tmp_path: Path, own: str, agreement: Agreement
):
    settings = catalogue_of(settings, tmp_path, tenant, error_bound=0.05)
    explored, usual = (asking(tenant, id_drawn(tenant, explored=each), REWORDED) for each in (True, False))
    async with running(intake.run, settings, "intake") as runtime, filling(settings, runtime) as fill:
        await publish(runtime, [outgoing(runtime, asking(tenant, "first", CAPITAL))])
        first = (await routed_of(runtime, tenant, 1))["first"]
        assert first.compare is None
        await fill.handle([delivered(runtime, answer_to(first, tenant, "Paris", deployment="openai/m"))])
        (entry,) = await entries_of(runtime, tenant, 1, compared=False)
        assert await served(settings, usual)
        asked = await explored_until_compared(runtime, tenant, explored)
        assert (asked.compare.cache_key, asked.cached) == (first.cache_key, None)
        answer = replace(answer_to(asked, tenant, own, deployment="openai/m"), compare=asked.compare)
        for _ in range(2):  # a batch comes again when its process dies
            await fill.handle([delivered(runtime, answer)])
        learnt = await entries_of(runtime, tenant, 2, compared=True)
    assert {(each.record.cache_key, each.record.compared.agreement) for each in learnt} == {(first.cache_key, agreement)}
    assert {each.partition for each in learnt} == {entry.partition}, "behind the entry that it is about"
    assert {each.key for each in learnt} == {f"{first.cache_key}#{explored.request_id}"}
    assert await served(settings, usual) is (agreement is Agreement.SAME)


async def explored_until_compared(runtime: Runtime, tenant: str, request: InferenceRequest) -> RequestRouted:
    """The first decision on the request that knows the kept entry: intake reads it a moment after it stands in the log."""
    async for attempt in attempts():
        await publish(runtime, [outgoing(runtime, request)])
        found = await Log(runtime.settings, runtime.serde).read(
            topics.ROUTED, RequestRouted, where=lambda r: r.request_id == request.request_id, count=attempt + 1
        )
        if found[-1].record.compare is not None:
            return found[-1].record
    raise AssertionError("intake never met the entry")


async def test_a_similar_answer_stands_in_when_no_provider_answers(settings: Settings, tenant: str, tmp_path: Path):
    settings = catalogue_of(settings, tmp_path, tenant, error_bound=STRICT)
    settings = settings.model_copy(update={"request_timeout_s": 5.0})
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(running(intake.run, settings, "intake"))
        fill = await stack.enter_async_context(filling(settings, runtime))
        await publish(runtime, [outgoing(runtime, asking(tenant, "first", CAPITAL))])
        first = (await routed_of(runtime, tenant, 1))["first"]
        assert first.fallback is None
        await fill.handle([delivered(runtime, answer_to(first, tenant, "Paris", deployment="openai/m"))])
        async for attempt in attempts():
            await publish(runtime, [outgoing(runtime, asking(tenant, f"again-{attempt}", REWORDED))])
            met = (await routed_of(runtime, tenant, attempt + 2))[f"again-{attempt}"]
            assert met.cached is None
            if met.fallback is not None:
                break
        assert met.fallback.cached.output.content == "Paris"
        await stack.enter_async_context(running(dispatcher.run, settings, "dispatch"))
        await stack.enter_async_context(running(provider.run, settings, "calls:openai"))
        found = await Log(settings, runtime.serde).read(
            topics.RESPONSES, InferenceResponse, where=lambda r: (r.tenant, r.request_id) == (tenant, met.request_id), count=1
        )
    final = found[0].record
    assert (final.status, final.final, final.cache) == (ResponseStatus.FALLBACK, True, CacheState.MISS)
    assert (final.output.content, final.served_by) == ("Paris", "first")
    assert final.similarity == met.fallback.cached.similarity
    assert 0.5 < final.similarity < 1
    assert final.error is not None


async def test_the_agent_that_fills_the_cache_judges(settings: Settings, tenant: str, tmp_path: Path):
    settings = catalogue_of(settings, tmp_path, tenant, error_bound=0.05)
    async with running(intake.run, settings, "intake") as runtime, running(tables.run, settings, "tables"):
        await publish(runtime, [outgoing(runtime, asking(tenant, "first", CAPITAL))])
        first = (await routed_of(runtime, tenant, 1))["first"]
        kept = answer_to(first, tenant, "Paris", deployment="openai/m")
        await publish(runtime, [Outgoing(topics.RESPONSES, "first", runtime.serde.encode(kept))])
        asked = await explored_until_compared(runtime, tenant, asking(tenant, id_drawn(tenant, explored=True), REWORDED))
        own = replace(answer_to(asked, tenant, "Berlin", deployment="openai/m"), compare=asked.compare)
        for _ in range(2):
            await publish(runtime, [Outgoing(topics.RESPONSES, own.request_id, runtime.serde.encode(own))])
        (learnt, *_) = await entries_of(runtime, tenant, 1, compared=True)
    assert learnt.record.compared.agreement is Agreement.DIFFERENT
