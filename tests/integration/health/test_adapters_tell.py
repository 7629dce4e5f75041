"""What the adapters tell besides answers, over real HTTP: whether a provider is there, and what it says of rate limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from processors.providers.build import build, simulated_address
from processors.providers.contract import Adapter, Completion, Failed
from schemas.calls import Failure, FailureKind
from schemas.deployments import Provider, ProviderKind
from schemas.health import RateLimits
from streams.embedded.ports import free_port
from streams.simulator.profile_text import parse_option, with_rule
from streams.simulator.profiles import Profile, Profiles
from streams.simulator.running import serve
from streams.simulator.settings import SimulatorSettings
from tests.unit.providers.calls import call

PROVIDERS = [Provider(kind.value, kind, "https://api.example.com") for kind in ProviderKind]
EVERY = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.name)


@asynccontextmanager
async def reached(provider: Provider, *faults: str, requests_per_minute: int | None = None) -> AsyncIterator[Adapter]:
    profiles = Profiles(default=Profile(), providers={provider.name: Profile(requests_per_minute=requests_per_minute)})
    for fault in faults:
        profiles = with_rule(profiles, *parse_option(f"{provider.name}={fault}"))
    simulator = await serve(SimulatorSettings(profiles=profiles))
    adapter = build(provider, api_key="simulated", address=simulated_address(provider, simulator.url))
    try:
        yield adapter
    finally:
        await adapter.close()
        await simulator.close()


@EVERY
async def test_a_probe_is_answered_without_a_call(provider):
    async with reached(provider) as adapter:
        assert await adapter.probe(timeout_s=5) is None


@EVERY
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("http_401", FailureKind.UNAUTHORIZED),
        ("http_404", FailureKind.NOT_FOUND),
        ("http_429:3", FailureKind.RATE_LIMITED),
        ("http_500", FailureKind.SERVER_ERROR),
        ("http_503", FailureKind.OVERLOADED),
    ],
)
async def test_a_probe_meets_an_outage(provider, fault, kind):
    async with reached(provider, fault) as adapter:
        found = await adapter.probe(timeout_s=5)
    assert isinstance(found, Failure)
    assert (found.kind, found.http_status) == (kind, int(fault[5:8]))


@EVERY
async def test_a_probe_of_nobody(provider):
    adapter = build(provider, api_key="simulated", address=simulated_address(provider, f"http://127.0.0.1:{free_port()}"))
    try:
        found = await adapter.probe(timeout_s=5)
    finally:
        await adapter.close()
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.UNREACHABLE


@EVERY
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [None, "http_429:3"])
async def test_limits_come_with_answers_and_with_refusals(provider, streamed, fault):
    async with reached(provider, *filter(None, [fault]), requests_per_minute=50) as adapter:
        asked = replace(call(), order=replace(call().order, provider=provider.name))
        found = await adapter.complete(asked, timeout_s=5, on_chunk=(lambda _: None) if streamed else None)
    assert isinstance(found, Failed if fault else Completion)
    if provider.kind not in {ProviderKind.OPENAI, ProviderKind.ANTHROPIC}:
        assert found.limits is None, "its shape has no such headers"
        return
    assert isinstance(found.limits, RateLimits)
    assert (found.limits.requests_limit, found.limits.requests_remaining) == (50, 49)
    assert 50.0 < found.limits.requests_reset_s <= 60.0
