"""Every adapter against the simulator: each of its faults gets a name, and the tokens that it bills are the tokens we read."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processors.providers.build import build, simulated_address
from processors.providers.contract import Completion, Failed
from schemas.calls import Billing, FailureKind
from schemas.deployments import Provider, ProviderKind
from schemas.requests import Message, Operation
from streams.simulator.call_log import read
from streams.simulator.profile_text import parse_option, with_rule
from streams.simulator.profiles import Profiles
from streams.simulator.running import Running, serve
from streams.simulator.settings import SimulatorSettings
from tests.unit.providers.calls import call

PROVIDERS = (
    Provider("openai", ProviderKind.OPENAI, "https://api.openai.com/v1", key_env="K"),
    Provider("deepseek", ProviderKind.OPENAI, "https://api.deepseek.com", key_env="K"),
    Provider("rack7", ProviderKind.OPENAI, "http://10.0.7.1:8000/v1"),
    Provider("anthropic", ProviderKind.ANTHROPIC, "https://api.anthropic.com", key_env="K"),
    Provider("google", ProviderKind.GOOGLE, "https://generativelanguage.googleapis.com", key_env="K"),
    Provider("ollama", ProviderKind.OLLAMA, "http://127.0.0.1:11434"),
)
EVERY = pytest.mark.parametrize("provider", PROVIDERS, ids=lambda p: p.name)
DISTINCT = pytest.mark.parametrize("provider", [p for p in PROVIDERS if p.name == p.kind.value], ids=lambda p: p.name)
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
OK, UNKNOWN, BILLED, NOT = None, Billing.UNKNOWN, Billing.BILLED, Billing.NOT_BILLED


class Simulated:
    def __init__(self, folder: Path) -> None:
        self.log = folder / "calls.jsonl"
        self._running: Running | None = None

    async def start(self, fault: str | None) -> None:
        profiles = Profiles()
        if fault is not None:
            profiles = with_rule(profiles, *parse_option(fault))
        self._running = await serve(SimulatorSettings(call_log=self.log, fsync=False, profiles=profiles))

    async def complete(self, provider, asked, *, fault=None, streamed=False, timeout_s=5.0, chunks=None):
        await self.start(None if fault is None else f"{provider.name}={fault}")
        adapter = build(provider, api_key="simulated", address=simulated_address(provider, self._running.url))
        told = chunks if chunks is not None else []
        try:
            return await adapter.complete(asked, timeout_s=timeout_s, on_chunk=told.append if streamed else None)
        finally:
            await adapter.close()
            await self.stop()

    async def stop(self) -> None:
        if self._running is not None:
            await self._running.close()
            self._running = None

    def calls(self):
        return list(read(self.log))


@pytest.fixture
async def simulated(tmp_path: Path) -> AsyncIterator[Simulated]:
    made = Simulated(tmp_path)
    yield made
    await made.stop()


@EVERY
@STREAMED
@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.TEXT_COMPLETION, Operation.CLASSIFICATION, Operation.EMBEDDINGS])
async def test_every_operation_and_its_tokens(simulated, provider, operation, streamed):
    chunks = []
    found = await simulated.complete(provider, call(operation), streamed=streamed, chunks=chunks)
    if operation is Operation.EMBEDDINGS and provider.name == "anthropic":
        assert found.failure.kind is FailureKind.NOT_FOUND
        return
    (billed,) = simulated.calls()
    assert (billed.provider, billed.call_id, billed.request_id, billed.completed) == (provider.name, "c1", "r1", True)
    if operation is Operation.CLASSIFICATION and isinstance(found, Failed):
        # The simulator answers with prose: no label, but billed.
        assert (found.failure.kind, found.failure.billing) == (FailureKind.MALFORMED_REPLY, Billing.BILLED)
    else:
        assert isinstance(found, Completion), found
        assert bool(chunks) == (streamed and operation in {Operation.CHAT, Operation.TEXT_COMPLETION})
        assert "".join(c.content or "" for c in chunks) in {"", found.output.content}
    if found.usage is None:
        assert (provider.name, operation) == ("google", Operation.EMBEDDINGS), "only Google tells no usage of embeddings"
    else:
        assert (found.usage.input_tokens, found.usage.output_tokens) == (billed.input_tokens, billed.output_tokens)


@EVERY
@STREAMED
async def test_the_sizes_of_a_trace_come_through(simulated, provider, streamed):
    asked = call(bound=500, messages=(Message("user", "[[sim in=4808 out=10]]"),))
    found = await simulated.complete(provider, asked, streamed=streamed)
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.clamped) == (4808, 10, False)


FAULTS = [
    # fault, then (kind, billing) of a whole reply, and of a stream; OK is a Completion
    ("http_429", (FailureKind.RATE_LIMITED, NOT), (FailureKind.RATE_LIMITED, NOT)),
    ("http_401", (FailureKind.UNAUTHORIZED, NOT), (FailureKind.UNAUTHORIZED, NOT)),
    ("http_500", (FailureKind.SERVER_ERROR, NOT), (FailureKind.SERVER_ERROR, NOT)),
    ("http_503", (FailureKind.OVERLOADED, NOT), (FailureKind.OVERLOADED, NOT)),
    ("http_529", (FailureKind.OVERLOADED, NOT), (FailureKind.OVERLOADED, NOT)),
    ("context_too_long", (FailureKind.CONTEXT_TOO_LONG, NOT), (FailureKind.CONTEXT_TOO_LONG, NOT)),
    ("hang", (FailureKind.TIMED_OUT, UNKNOWN), (FailureKind.TIMED_OUT, UNKNOWN)),
    ("slow_body", (FailureKind.TIMED_OUT, UNKNOWN), (FailureKind.TIMED_OUT, UNKNOWN)),
    ("truncated_stream", (FailureKind.MALFORMED_REPLY, UNKNOWN), (FailureKind.INTERRUPTED, UNKNOWN)),
    ("error_event", OK, (..., UNKNOWN)),
    ("split_utf8", OK, OK),
    ("crlf", OK, OK),
    ("duplicate_events", OK, (FailureKind.MALFORMED_REPLY, ...)),
    ("late_content", OK, (FailureKind.MALFORMED_REPLY, ...)),
    ("malformed_json", (FailureKind.MALFORMED_REPLY, UNKNOWN), (FailureKind.MALFORMED_REPLY, UNKNOWN)),
    ("html_200", (FailureKind.MALFORMED_REPLY, UNKNOWN), (FailureKind.MALFORMED_REPLY, UNKNOWN)),
    ("reset_before_reply", (FailureKind.INTERRUPTED, UNKNOWN), (FailureKind.INTERRUPTED, UNKNOWN)),
    ("reset_mid_body", (FailureKind.INTERRUPTED, UNKNOWN), (FailureKind.INTERRUPTED, UNKNOWN)),
    ("eof_mid_body", (FailureKind.INTERRUPTED, UNKNOWN), (FailureKind.INTERRUPTED, UNKNOWN)),
]


@DISTINCT
@STREAMED
@pytest.mark.parametrize(("fault", "whole", "stream"), FAULTS, ids=[f[0] for f in FAULTS])
async def test_every_fault_has_a_name(simulated, provider, fault, whole, stream, streamed):  # noqa: PLR0917
    asked = call(messages=(Message("user", "[[sim in=50 out=40]]"),))
    found = await simulated.complete(
        provider, asked, fault=fault, streamed=streamed, timeout_s=0.4 if fault in {"hang", "slow_body"} else 5.0
    )
    expected = stream if streamed else whole
    if expected is OK:
        assert isinstance(found, Completion), found
        assert found.usage.output_tokens == 40
    else:
        assert isinstance(found, Failed), found
        kind, billing = expected
        assert billing is ... or found.failure.billing is billing, found.failure
        assert kind is ... or found.failure.kind is kind, found.failure


@DISTINCT
@STREAMED
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("zero_usage", (0, 0, False)),
        ("negative_usage", (20, 100, True)),
        ("absurd_usage", (20, 100, True)),
        ("missing_usage", None),
    ],
)
async def test_usage_that_is_wrong(simulated, provider, fault, expected, streamed):
    found = await simulated.complete(provider, call(), fault=fault, streamed=streamed)
    assert isinstance(found, Completion), found
    assert (found.usage and (found.usage.input_tokens, found.usage.output_tokens, found.usage.clamped)) == expected


@DISTINCT
async def test_a_stream_that_lacks_its_last_event_is_whole_or_interrupted(simulated, provider):
    found = await simulated.complete(provider, call(), fault="missing_done", streamed=True)
    if provider.kind in {ProviderKind.OPENAI, ProviderKind.ANTHROPIC}:
        assert isinstance(found, Completion), found
    else:
        assert found.failure.kind is FailureKind.INTERRUPTED


@DISTINCT
@pytest.mark.parametrize("said", ["7", "-1", "1000000000", "date+30"])
async def test_retry_after(simulated, provider, said):
    found = await simulated.complete(provider, call(), fault=f"http_429:{said}")
    expected = 30.0 if said == "date+30" else float(said)
    assert found.failure.retry_after_s == pytest.approx(expected, abs=3)
