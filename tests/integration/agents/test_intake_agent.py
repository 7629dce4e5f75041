"""Promise 5, and the first hop: every acknowledged request leaves intake, routed, answered from the cache, or rejected."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from schemas.calls import Output, Usage
from schemas.deployments import TenantSettings
from schemas.health import HealthEvent, HealthOutcome
from schemas.outcomes import CacheState, DeadLetter, InferenceResponse, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Operation, Preferences, Sampling
from schemas.routing import RequestRouted
from streams import topics
from streams.agents import intake, tables
from streams.placement import partition_of
from streams.publisher import Outgoing
from streams.runtime import Runtime
from streams.settings import Settings
from tests.integration.agents.conftest import Log, attempts, publish, running

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("topics_made")]


def request_of(tenant: str, request_id: str = "r1", text: str = "What is 2 + 2?", **more: object) -> InferenceRequest:
    return InferenceRequest(request_id, tenant, "auto", messages=(Message("user", text),), **more)


def outgoing(runtime: Runtime, request: InferenceRequest) -> Outgoing:
    return Outgoing(topics.REQUESTS, request.tenant, runtime.serde.encode(request))


def answer_to(first: RequestRouted, tenant: str, text: str, *, deployment: str, model: str | None = None) -> InferenceResponse:
    """A provider's answer to a routed request, as the dispatcher would publish it."""
    return InferenceResponse(
        request_id=first.request_id,
        tenant=tenant,
        final=True,
        status=ResponseStatus.OK,
        request_model="auto",
        attempts=1,
        task_kind="math",
        policy="p",
        received_at=first.received_at,
        answered_at=datetime.now(UTC),
        output=Output(content=text, finish_reason="stop", response_model=model),
        operation=Operation.CHAT,
        usage=Usage(10, 1),
        cost_nanousd=1234,
        provider="openai",
        deployment=deployment,
        cache=CacheState.MISS,
        cache_key=first.cache_key,
        cache_ttl_s=first.cache_ttl_s,
    )


async def routed_of(runtime: Runtime, tenant: str, count: int, settle_s: float = 0.0) -> dict[str, RequestRouted]:
    found = await Log(runtime.settings, runtime.serde).read(
        topics.ROUTED, RequestRouted, where=lambda r: r.tenant == tenant, count=count, settle_s=settle_s
    )
    assert all(f.partition == partition_of(f.record.lane, runtime.lanes) and f.key == f.record.lane for f in found)
    return {f.record.request_id: f.record for f in found}


async def test_valid_requests_are_routed_with_their_bytes(settings: Settings, tenant: str):
    async with running(intake.run, settings, "intake") as runtime:
        requests = [
            request_of(tenant, "chat"),
            request_of(
                tenant, "pinned", preferences=Preferences(provider="anthropic"), user="u", session="s", metadata={"k": "v"}
            ),
            InferenceRequest("vectors", tenant, "auto", operation=Operation.EMBEDDINGS, input=("text",)),
            request_of(tenant, "nowhere", preferences=Preferences(provider="nobody")),
            dataclasses.replace(request_of(tenant, "by-model"), model="deepseek-v4-pro", stream=True),
        ]
        await publish(runtime, [outgoing(runtime, r) for r in requests])
        routed = await routed_of(runtime, tenant, 5)
    for request in requests:
        assert routed[request.request_id].request == runtime.serde.encode(request), "as published, framing included"
    chat, pinned, vectors = routed["chat"], routed["pinned"], routed["vectors"]
    assert (chat.task_kind, chat.rejection, chat.cached) == ("math", None, None)
    assert len(chat.candidates) > 3
    assert chat.candidates[0].cost_bound_nanousd is not None
    assert chat.deadline - chat.received_at == timedelta(seconds=settings.request_timeout_s)
    assert chat.cache_ttl_s == settings.cache_ttl_s
    assert {c.provider for c in pinned.candidates} == {"anthropic"}
    assert (pinned.user, pinned.session, pinned.metadata) == ("u", "s", {"k": "v"})
    assert all("embed" in c.model for c in vectors.candidates)
    assert all(c.output_tokens_bound == 0 for c in vectors.candidates)
    assert routed["nowhere"].candidates == ()
    assert routed["nowhere"].rejection.kind == "provider_not_available"
    assert [c.deployment for c in routed["by-model"].candidates] == ["deepseek/deepseek-v4-pro"]
    assert routed["by-model"].stream


async def test_a_tenant_with_lanes_spreads_over_them(settings: Settings, tenant: str, tmp_path):
    catalogue = tmp_path / "deployments.yaml"
    catalogue.write_text(
        "providers: {me: {kind: openai, address: http://127.0.0.1:1/v1}}\n"
        "deployments: [{provider: me, model: m}]\n"
        f"tenants: {{{tenant}: {{lanes: 3}}}}\n"
    )
    settings = settings.model_copy(update={"deployments_file": catalogue, "simulator_url": None})
    async with running(intake.run, settings, "intake") as runtime:
        assert runtime.catalogue.tenants == {tenant: TenantSettings(3)}
        await publish(runtime, [outgoing(runtime, request_of(tenant, f"r{i}")) for i in range(30)])
        routed = await routed_of(runtime, tenant, 30)
    assert {r.lane for r in routed.values()} == {f"{tenant}#{k}" for k in range(3)}
    assert all(r.candidates[0].deployment == "me/m" for r in routed.values())


async def test_poison_goes_to_dead_letters_and_its_sender_hears_of_it(settings: Settings, tenant: str):
    async with running(intake.run, settings, "intake") as runtime:
        good = runtime.serde.encode(request_of(tenant, "neighbour"))
        whole = runtime.serde.encode(request_of(tenant, "cut"))
        invalid = dataclasses.replace(request_of(tenant, "invalid"), messages=())
        big = b"\0\0\0\0\1" + bytes(400_000)
        poison = {
            "bad_magic": b"\1" + whole[1:],
            "unknown_schema": b"\0\0\0\1\0" + whole[5:],
            "truncated": whole[: len(whole) // 2],
            "trailing_bytes": runtime.serde.encode(request_of(tenant, "long")) + b"!",
            "empty": None,
            "invalid": runtime.serde.encode(invalid),
            "wrong_type": runtime.serde.encode(HealthEvent("d", "p", "m", "w", HealthOutcome.SUCCESS, 0, datetime.now(UTC))),
        }
        values = [*poison.values(), big, good]
        await publish(runtime, [Outgoing(topics.REQUESTS, tenant, value) for value in values])
        routed = await routed_of(runtime, tenant, 4, settle_s=0.5)
        letters = await Log(settings, runtime.serde).read(
            topics.DEAD_LETTERS, DeadLetter, where=lambda d: d.key == tenant.encode(), count=len(values) - 1, settle_s=0.5
        )
    assert routed["neighbour"].rejection is None
    raw = {(f.record.reason, f.record.value) for f in letters if not f.record.truncated}
    assert raw == {(reason, value or b"") for reason, value in poison.items()}
    assert all(f.record.topic == topics.REQUESTS and f.record.message for f in letters)
    assert {f.key for f in letters} == {f"{d.topic}-{d.partition}-{d.offset}" for d in (f.record for f in letters)}
    cut = next(f.record for f in letters if f.record.value_size == len(big))
    assert (cut.truncated, len(cut.value)) == (True, 256 * 1024)
    # An id can be read of those whose body begins well: also of `unknown_schema`, which carries the same id as `truncated`.
    told = {request_id: r.rejection.kind for request_id, r in routed.items() if r.rejection}
    assert told == {"cut": told["cut"], "long": "trailing_bytes", "invalid": "invalid"}
    assert told["cut"] in {"truncated", "unknown_schema"}
    assert "needs messages" in routed["invalid"].rejection.message
    assert routed["invalid"].lane == tenant


async def test_a_redelivery_gives_no_more_time(settings: Settings, tenant: str):
    """The deadline follows from the record alone: two intakes that read it at different times write the same one."""
    deadlines = []
    for app in ("first", "second"):
        own = settings.model_copy(update={"app": f"{settings.app}-{app}"})
        async with running(intake.run, own, "intake") as runtime:
            if app == "first":
                await publish(runtime, [outgoing(runtime, request_of(tenant))])
            found = await Log(own, runtime.serde).read(
                topics.ROUTED, RequestRouted, where=lambda r: r.tenant == tenant, count=1 if app == "first" else 2
            )
            deadlines += [f.record.deadline for f in found]
    assert len(set(deadlines)) == 1


CAPITAL, REWORDED, ANOTHER = (
    "What is the capital of France?",
    "What's the capital of France?",
    "What is the capital of Germany?",
)


async def test_a_tenant_that_opted_in_meets_its_answers_under_other_words(settings: Settings, tenant: str, tmp_path):
    catalogue = tmp_path / "deployments.yaml"
    catalogue.write_text(
        "providers: {openai: {kind: openai, address: http://127.0.0.1:1/v1}}\n"
        "deployments: [{provider: openai, model: m}]\n"
        f"tenants: {{{tenant}: {{semantic_cache: {{error_bound: 0.05}}}}}}\n"
    )
    settings = settings.model_copy(update={"deployments_file": catalogue})
    exact = Sampling(temperature=0.0)
    async with running(tables.run, settings, "tables"), running(intake.run, settings, "intake") as runtime:
        asked = {"first": request_of(tenant, "first", CAPITAL, sampling=exact)}
        await publish(runtime, [outgoing(runtime, asked["first"])])
        first = (await routed_of(runtime, tenant, 1))["first"]
        kept = answer_to(first, tenant, "Paris", deployment="openai/m")
        await publish(runtime, [Outgoing(topics.RESPONSES, "first", runtime.serde.encode(kept))])
        async for attempt in attempts():
            await publish(runtime, [outgoing(runtime, request_of(tenant, f"again-{attempt}", REWORDED, sampling=exact))])
            met = (await routed_of(runtime, tenant, attempt + 2))[f"again-{attempt}"]
            if met.cached is not None:
                break
        assert (met.cached.output.content, met.cached.request_id) == ("Paris", "first")
        assert 0.5 < met.cached.similarity < 1
        others = [
            request_of(tenant, "another", ANOTHER, sampling=exact),
            request_of(tenant, "warm", REWORDED, sampling=Sampling(temperature=0.7)),
            request_of(f"{tenant}-b", "stranger", REWORDED, sampling=exact),
        ]
        await publish(runtime, [outgoing(runtime, request) for request in others])
        routed = await routed_of(runtime, tenant, attempt + 4) | await routed_of(runtime, f"{tenant}-b", 1)
    assert [routed[name].cached for name in ("another", "warm", "stranger")] == [None, None, None]


async def test_an_answer_that_was_kept_is_used_by_the_same_tenant_alone(settings: Settings, tenant: str):
    async with running(tables.run, settings, "tables"), running(intake.run, settings, "intake") as runtime:
        await publish(runtime, [outgoing(runtime, request_of(tenant, "first"))])
        first = (await routed_of(runtime, tenant, 1))["first"]
        answer = answer_to(first, tenant, "4", model="gpt-6-luna-2026", deployment="openai/gpt-6-luna")
        await publish(runtime, [Outgoing(topics.RESPONSES, "first", runtime.serde.encode(answer))])
        assert first.cache_key is not None
        async for attempt in attempts():
            again = f"again-{attempt}"
            await publish(runtime, [outgoing(runtime, request_of(tenant, again))])
            repeated = (await routed_of(runtime, tenant, attempt + 2))[again]
            if repeated.cached is not None:
                break
        cached = repeated.cached
        assert (cached.output.content, cached.cost_nanousd, cached.model) == ("4", 1234, "gpt-6-luna")
        assert (cached.deployment, repeated.candidates) == ("openai/gpt-6-luna", ())
        others = [
            request_of(f"{tenant}-b", "other"),
            request_of(f"{tenant}-b", "off", cache=CachePolicy(CacheMode.OFF)),
        ]
        own = [
            request_of(tenant, "off", cache=CachePolicy(CacheMode.OFF)),
            request_of(tenant, "new", cache=CachePolicy(CacheMode.REFRESH)),
        ]
        await publish(runtime, [outgoing(runtime, r) for r in (*others, *own)])
        by_other = await routed_of(runtime, f"{tenant}-b", 2)
        by_own = await routed_of(runtime, tenant, attempt + 4)
    assert all(r.cached is None for r in by_other.values())
    assert by_own["off"].cached is None
    assert by_own["off"].cache_key is None
    assert by_own["new"].cached is None
    assert by_own["new"].cache_key == first.cache_key


async def test_routing_follows_health(settings: Settings, tenant: str):
    async with running(intake.run, settings, "intake") as runtime:
        await publish(runtime, [outgoing(runtime, request_of(tenant, "before"))])
        best = (await routed_of(runtime, tenant, 1))["before"].candidates[0]
        refused = HealthEvent(
            best.deployment, best.provider, best.model, "w", HealthOutcome.FAILURE, 0, datetime.now(UTC), "unauthorized", 401
        )
        try:
            await publish(runtime, [Outgoing(topics.HEALTH, best.deployment, runtime.serde.encode(refused))])
            async for attempt in attempts():
                await publish(runtime, [outgoing(runtime, request_of(tenant, f"after-{attempt}", text=f"question {attempt}"))])
                after = (await routed_of(runtime, tenant, attempt + 2))[f"after-{attempt}"]
                if after.candidates[0] != best:
                    break
            assert after.candidates[0].deployment != best.deployment
            assert best.deployment not in {c.deployment for c in after.candidates[:-1]}, "an open circuit comes last"
        finally:
            well = dataclasses.replace(refused, outcome=HealthOutcome.SUCCESS, failure_kind=None, http_status=200)
            await publish(runtime, [Outgoing(topics.HEALTH, best.deployment, runtime.serde.encode(well))])


async def test_without_valkey_requests_go_on(settings: Settings, tenant: str):
    settings = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0", "cache_timeout_ms": 50})
    async with running(intake.run, settings, "intake") as runtime:
        await publish(runtime, [outgoing(runtime, request_of(tenant, f"r{i}", text=f"question {i}")) for i in range(50)])
        routed = await routed_of(runtime, tenant, 50)
    assert all(r.cached is None and r.candidates for r in routed.values())
